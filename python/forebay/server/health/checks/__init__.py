"""One module a check. Each is called in a thread of its own and may block."""

from __future__ import annotations

from collections.abc import Callable

from forebay.server.health.checks.commits import CommitLatency
from forebay.server.health.checks.failures import ErrorRate
from forebay.server.health.checks.ingestion import EventIngestion
from forebay.server.health.checks.processing import EventProcessing
from forebay.server.health.checks.queues import QueueDepth
from forebay.server.health.checks.resources import SystemResources
from forebay.server.health.checks.storage import LogStorage
from forebay.server.health.finding import Finding
from forebay.server.health.sources import Figures, Sources


def all_checks(
    sources: Sources, figures: Callable[[], Figures], clock: Callable[[], float]
) -> list[tuple[str, Callable[[], Finding]]]:
    """The seven, by name, in the order of the answer. `figures` gives those of the round under way."""
    return [
        ("event_ingestion", EventIngestion(sources, figures)),
        ("event_processing", EventProcessing(sources)),
        ("log_storage", LogStorage(sources)),
        ("commit_latency", CommitLatency(sources, clock)),
        ("queue_depth", QueueDepth(sources)),
        ("error_rate", ErrorRate(sources, figures, clock)),
        ("system_resources", SystemResources(sources)),
    ]
