"""The check `error_rate`: the share of events that are not stored."""

from __future__ import annotations

from collections.abc import Callable

from forebay.server.health.check_result import CheckResult, Level
from forebay.server.health.context import CheckContext, Figures
from forebay.server.health.sliding_window import SlidingWindow

MIN_EVENTS = 20
"""The fewest events in the window for a share to mean something."""


class ErrorRate:
    """Compares the share of failed events with its limits.

    Invalid events only warn, since any sender could otherwise make a healthy server unhealthy. Events that the server
    failed to store become critical.
    """

    def __init__(self, context: CheckContext, figures: Callable[[], Figures], clock: Callable[[], float]) -> None:
        self._context = context
        self._figures = figures
        self._clock = clock
        self._recent: SlidingWindow[Figures] = SlidingWindow(context.settings.health_window_seconds)
        self._last: Figures | None = None

    def __call__(self) -> CheckResult:
        settings, now, figures = self._context.settings, self._clock(), self._figures()
        if self._last is not None and _all(figures) < _all(self._last):
            # The metrics were reset.
            self._recent.clear()
        self._last = figures
        since, base = self._recent.add(figures, now)
        events = _all(figures) - _all(base)
        invalid = figures.validation_errors - base.validation_errors
        failed = figures.storage_errors + figures.processing_errors - base.storage_errors - base.processing_errors
        share = 100 / events if events >= MIN_EVENTS else 0.0
        result = CheckResult(
            metadata={
                "errorRate": figures.error_rate,
                "windowSeconds": round(now - since, 3),
                "events": events,
                "invalidEvents": invalid,
                "failedEvents": failed,
            }
        )
        warning, critical = settings.health_error_rate_warning_percent, settings.health_error_rate_critical_percent
        result.compare(
            failed * share, warning, critical, f"{failed * share:.1f} % of {events} events could not be stored"
        )
        if invalid * share >= warning:
            result.add(
                Level.WARNING,
                f"{invalid * share:.1f} % of {events} events were invalid, at or beyond the limit of {warning:g}",
            )
        result.add(Level.PASS, f"{invalid + failed} of {events} events failed lately")
        return result


def _all(figures: Figures) -> int:
    return figures.total_events + figures.validation_errors + figures.storage_errors + figures.processing_errors
