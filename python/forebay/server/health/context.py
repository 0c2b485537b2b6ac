"""The inputs of the checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from forebay._forebay import Engine
    from forebay.server.broadcast.shapes import Metrics
    from forebay.server.config import Settings


class Budget(Protocol):
    """Bytes of request bodies under way."""

    @property
    def limit(self) -> int: ...
    @property
    def used(self) -> int: ...


@dataclass(slots=True, frozen=True)
class Figures:
    """The metrics that the checks use: rates over the window of `/api/metrics`, and totals since the start or the last
    reset."""

    events_per_second: float = 0.0
    total_events: int = 0
    error_rate: float = 0.0
    validation_errors: int = 0
    storage_errors: int = 0
    processing_errors: int = 0


def figures(metrics: Metrics) -> Figures:
    """The part of the metrics that the checks use."""
    by_type = metrics.errors.errors_by_type
    return Figures(
        metrics.throughput.events_per_second,
        metrics.throughput.total_events,
        metrics.errors.error_rate,
        by_type.validation_error,
        by_type.storage_error,
        by_type.processing_error,
    )


@dataclass(slots=True, frozen=True)
class CheckContext:
    """The inputs of all checks. `figures` is called on the event loop, once a round; the checks use the rest in their
    threads. `processor_problems` says what is wrong with stream processors, one sentence each."""

    engine: Engine
    settings: Settings
    memory_budget: Budget
    figures: Callable[[], Figures]
    stopping: Callable[[], bool]
    processor_problems: Callable[[], list[str]]
