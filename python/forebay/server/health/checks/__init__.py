"""The checks, one module each. Each runs in a thread of its own and may block."""

from __future__ import annotations

from collections.abc import Callable

from forebay.server.health.check_result import CheckResult
from forebay.server.health.checks.commits import CommitLatency
from forebay.server.health.checks.failures import ErrorRate
from forebay.server.health.checks.ingestion import EventIngestion
from forebay.server.health.checks.processing import EventProcessing
from forebay.server.health.checks.queues import QueueDepth
from forebay.server.health.checks.resources import SystemResources
from forebay.server.health.checks.storage import LogStorage
from forebay.server.health.context import CheckContext, Figures


def all_checks(
    context: CheckContext, figures: Callable[[], Figures], clock: Callable[[], float]
) -> list[tuple[str, Callable[[], CheckResult]]]:
    """The seven checks by name, in the order of the response. `figures` returns those of the present round."""
    return [
        ("event_ingestion", EventIngestion(context, figures)),
        ("event_processing", EventProcessing(context)),
        ("log_storage", LogStorage(context)),
        ("commit_latency", CommitLatency(context, clock)),
        ("queue_depth", QueueDepth(context)),
        ("error_rate", ErrorRate(context, figures, clock)),
        ("system_resources", SystemResources(context)),
    ]
