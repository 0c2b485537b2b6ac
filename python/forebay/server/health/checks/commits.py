"""The check `commit_latency`: how long commits take, and whether they go on."""

from __future__ import annotations

from collections.abc import Callable

from forebay._forebay import QueueStats
from forebay.server.health.check_result import CheckResult, Level
from forebay.server.health.context import CheckContext
from forebay.server.health.sliding_window import SlidingWindow


class CommitLatency:
    """Compares p99 of the commits of the last window with its limits. Also notices when appends wait and none is
    committed, which a histogram shows only afterwards."""

    def __init__(self, context: CheckContext, clock: Callable[[], float]) -> None:
        self._context = context
        self._clock = clock
        self._recent: SlidingWindow[QueueStats] = SlidingWindow(context.settings.health_window_seconds)
        self._last: QueueStats | None = None
        self._standing_since: float | None = None

    def __call__(self) -> CheckResult:
        settings, now, queues = self._context.settings, self._clock(), self._context.engine.queue_stats()
        since, base = self._recent.add(queues, now)
        count, half, most, largest = queues.commits_since(base)
        standing = self._standing(queues, now)
        result = CheckResult(
            metadata={
                "windowSeconds": round(now - since, 3),
                "commits": count,
                "p50Ms": round(half, 3),
                "p99Ms": round(most, 3),
                "maxMs": round(largest, 3),
                "appendsWaiting": queues.commits_waiting,
                "standingSeconds": round(standing, 3),
            }
        )
        limits = (settings.health_commit_p99_warning_ms, settings.health_commit_p99_critical_ms)
        result.compare(most, *limits, f"p99 of {count} commits is {most:.1f} ms")
        waited = standing * 1000
        result.compare(
            waited, *limits, f"{queues.commits_waiting} appends wait and none was committed for {waited:.0f} ms"
        )
        if count:
            result.add(Level.PASS, f"p99 of {count} commits is {most:.1f} ms")
        else:
            result.add(Level.PASS, "no commit lately")
        return result

    def _standing(self, queues: QueueStats, now: float) -> float:
        """How many seconds appends have waited without any commit."""
        last, self._last = self._last, queues
        if last is None or not queues.commits_waiting or not last.commits_waiting or queues.commits != last.commits:
            self._standing_since = None
            return 0.0
        if self._standing_since is None:
            self._standing_since = now
        return now - self._standing_since
