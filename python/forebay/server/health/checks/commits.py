"""How long commits take lately, and whether they go on."""

from __future__ import annotations

from collections.abc import Callable

from forebay._forebay import QueueStats
from forebay.server.health.finding import Finding, Level
from forebay.server.health.recent import Recent
from forebay.server.health.sources import Sources


class CommitLatency:
    """Compares p99 of the commits of the last window with its limits; and notices when appends wait and none is
    committed, which no histogram shows before it is over."""

    def __init__(self, sources: Sources, clock: Callable[[], float]) -> None:
        self._sources = sources
        self._clock = clock
        self._recent: Recent[QueueStats] = Recent(sources.settings.health_window_seconds)
        self._last: QueueStats | None = None
        self._standing_since: float | None = None

    def __call__(self) -> Finding:
        settings, now, pulse = self._sources.settings, self._clock(), self._sources.engine.queue_stats()
        since, base = self._recent.add(pulse, now)
        count, half, most, largest = pulse.commits_since(base)
        standing = self._standing(pulse, now)
        found = Finding(
            metadata={
                "windowSeconds": round(now - since, 3),
                "commits": count,
                "p50Ms": round(half, 3),
                "p99Ms": round(most, 3),
                "maxMs": round(largest, 3),
                "appendsWaiting": pulse.commits_waiting,
                "standingSeconds": round(standing, 3),
            }
        )
        limits = (settings.health_commit_p99_warning_ms, settings.health_commit_p99_critical_ms)
        found.compare(most, *limits, f"p99 of {count} commits is {most:.1f} ms")
        waited = standing * 1000
        found.compare(
            waited, *limits, f"{pulse.commits_waiting} appends wait and none was committed for {waited:.0f} ms"
        )
        if count:
            found.find(Level.PASS, f"p99 of {count} commits is {most:.1f} ms")
        else:
            found.find(Level.PASS, "no commit lately")
        return found

    def _standing(self, pulse: QueueStats, now: float) -> float:
        """For how many seconds appends have been seen to wait without a commit."""
        last, self._last = self._last, pulse
        if last is None or not pulse.commits_waiting or not last.commits_waiting or pulse.commits != last.commits:
            self._standing_since = None
            return 0.0
        if self._standing_since is None:
            self._standing_since = now
        return now - self._standing_since
