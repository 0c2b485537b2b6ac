"""The check `queue_depth`: how full the queues are that every event passes."""

from __future__ import annotations

from forebay.server.health.check_result import CheckResult, Level
from forebay.server.health.context import CheckContext

SHARES = 2
"""The engine gives one stream at most one of so many shares of the ring."""


class QueueDepth:
    """Compares the fullest of the budgets with its limits: the ring's, the share that one stream may have of it, and
    that of bodies under way."""

    def __init__(self, context: CheckContext) -> None:
        self._context = context

    def __call__(self) -> CheckResult:
        engine, settings, memory_budget = self._context.engine, self._context.settings, self._context.memory_budget
        status, queues = engine.status(), engine.queue_stats()
        used, limit = status["ring_used_bytes"], status["ring_limit_bytes"]
        # There are no streams when the disk was full from the start.
        rings = [(row.name, row.ring_bytes) for row in engine.streams()]
        stream, taken = max(rings, key=lambda row: row[1], default=("", 0))
        result = CheckResult(
            metadata={
                "ringUsedBytes": used,
                "ringLimitBytes": limit,
                "fullestStream": stream,
                "fullestStreamBytes": taken,
                "bodyBytes": memory_budget.used,
                "bodyLimitBytes": memory_budget.limit,
                "requestsWaiting": queues.jobs_waiting,
                "appendsWaiting": queues.commits_waiting,
            }
        )
        for part, percent in (
            ("the ring", 100 * used / limit),
            (f"the ring's share of stream {stream!r}", 100 * taken * SHARES / limit),
            ("the memory for bodies under way", 100 * memory_budget.used / memory_budget.limit),
        ):
            result.compare(
                percent,
                settings.health_ring_warning_percent,
                settings.health_ring_critical_percent,
                f"{part} is {percent:.0f} % full",
            )
        waiting = queues.jobs_waiting + queues.commits_waiting
        result.add(Level.PASS, f"{waiting} requests waiting, the ring is {100 * used / limit:.0f} % full")
        return result
