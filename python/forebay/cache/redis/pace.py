"""How many commands a second Redis is given."""

from __future__ import annotations

from collections.abc import Callable

CALLS_PER_SECOND = 100.0

BURST_CALLS = 60.0
"""The most at once, so that no second has more than 160."""

SHORTEST_SECONDS = 0.005


class Pace:
    """A token bucket of commands."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._left = BURST_CALLS
        self._at = monotonic()

    def wait(self, calls: int) -> float:
        """Seconds until so many commands may be sent, at most `BURST_CALLS`; when they may be sent now, they count as
        sent."""
        now = self._monotonic()
        self._left = min(BURST_CALLS, self._left + (now - self._at) * CALLS_PER_SECOND)
        self._at = now
        if calls <= self._left:
            self._left -= calls
            return 0.0
        # A wait that rounding makes too short by nothing is no reason to ask again at once.
        return max(SHORTEST_SECONDS, (calls - self._left) / CALLS_PER_SECOND)
