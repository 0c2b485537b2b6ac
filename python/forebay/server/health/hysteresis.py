"""Hysteresis keeps a check that alternates between two levels at the worse one."""

from __future__ import annotations

from forebay.server.health.check_result import Level


class Hysteresis:
    """The level that is reported for one check. It rises at once. It falls only when every measurement of the last
    `recovery_seconds` was lower, to the highest of those."""

    def __init__(self, recovery_seconds: float) -> None:
        self.level = Level.PASS
        self._recovery_seconds = recovery_seconds
        self._better_since: float | None = None
        self._worst_since = Level.PASS

    def observe(self, measured: Level, now: float) -> Level:
        """Adds a measurement made at `now`, in seconds of a monotonic clock. Returns the level to report."""
        if measured >= self.level:
            self.level = measured
            self._better_since = None
            return self.level
        if self._better_since is None:
            self._better_since = now
            self._worst_since = measured
        self._worst_since = max(self._worst_since, measured)
        if now - self._better_since >= self._recovery_seconds:
            self.level = self._worst_since
            self._better_since = None
        return self.level
