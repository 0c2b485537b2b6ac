"""The check `event_ingestion`: whether an event would be accepted now."""

from __future__ import annotations

from collections.abc import Callable

from forebay.server.health.check_result import CheckResult, Level
from forebay.server.health.context import CheckContext, Figures

SMALLEST_REQUEST_BYTES = 4096
"""About the smallest charge of a request with one event. With less room than this every request is refused."""


class EventIngestion:
    """Evaluates the conditions under which the engine admits a request."""

    def __init__(self, context: CheckContext, figures: Callable[[], Figures]) -> None:
        self._context = context
        self._figures = figures

    def __call__(self) -> CheckResult:
        status, figures, memory_budget = self._context.engine.status(), self._figures(), self._context.memory_budget
        mode, limit, used = status["mode"], status["ring_limit_bytes"], status["ring_used_bytes"]
        result = CheckResult(
            metadata={
                "eventsPerSecond": figures.events_per_second,
                "totalEvents": figures.total_events,
                "mode": mode,
                "ringFreeBytes": limit - used,
                "bodyBytesFree": memory_budget.limit - memory_budget.used,
            }
        )
        if self._context.stopping():
            result.add(Level.CRITICAL, "events are refused: the server is shutting down")
        elif mode != "running":
            result.add(Level.CRITICAL, f"events are refused: the log is {mode}: {status['reason']}")
        elif limit - used < SMALLEST_REQUEST_BYTES:
            result.add(Level.WARNING, "events are refused with 429: the ring is full")
        elif memory_budget.limit - memory_budget.used < SMALLEST_REQUEST_BYTES:
            result.add(Level.WARNING, "events are refused with 429: bodies under way have used up their memory")
        else:
            result.add(Level.PASS, f"Event ingestion healthy: {figures.events_per_second:.1f} events/sec")
        return result
