"""The figures of stream processors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, get_args

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from forebay.errors import ProcessorNotFound
from forebay.processors.shapes import ProcessorDescription, ProcessorFigures, ProcessorMetrics, Status
from forebay.server.telemetry.labels import OTHERS

if TYPE_CHECKING:
    from forebay._forebay import Engine

MAX_PROCESSOR_LABELS = 100
"""The most processors with series of their own, eight each. They are the oldest ones, so that one keeps its series."""

COUNTERS: tuple[tuple[str, str, Callable[[ProcessorFigures], int]], ...] = (
    ("events", "Records of the source that were processed", lambda figures: figures.events_processed),
    ("results", "Records written to the sink", lambda figures: figures.results),
    ("late_events", "Records that were late for every window", lambda figures: figures.late_events),
    (
        "filter_failures",
        "Records for which a predicate was neither true nor false",
        lambda figures: figures.filter_failures,
    ),
    ("dead_letters", "Records that could not be processed", lambda figures: figures.dead_letters),
    (
        "records_lost",
        "Records that were deleted or damaged before they were read",
        lambda figures: figures.records_lost,
    ),
)


class ProcessorCollector(Collector):
    """Counters since a processor was created, which restarts and crashes count once, and gauges. Of processors beyond
    the bound only the lag is shown, summed up."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        described = msgspec.json.decode(self._engine.processors(), type=list[ProcessorDescription])
        described.sort(key=lambda each: int(each.processor_id.removeprefix("proc_")))
        shown = list(self._shown(described[:MAX_PROCESSOR_LABELS]))
        for name, text, value in COUNTERS:
            counter = CounterMetricFamily(
                f"forebay_processor_{name}", f"{text}, since the processor was created.", labels=["processor"]
            )
            for each in shown:
                counter.add_metric([each.name], value(each.metrics))
            yield counter
        lag = GaugeMetricFamily(
            "forebay_processor_lag_records",
            "Records of the source that are not processed and stored.",
            labels=["processor"],
        )
        state = GaugeMetricFamily(
            "forebay_processor_state_bytes", "Memory of open windows and joined tables.", labels=["processor"]
        )
        for each in shown:
            lag.add_metric([each.name], each.metrics.lag)
            state.add_metric([each.name], each.metrics.state_bytes)
        others = described[MAX_PROCESSOR_LABELS:]
        if others:
            lag.add_metric([OTHERS], sum(each.metrics.lag for each in others))
        statuses = GaugeMetricFamily("forebay_processors", "Processors, by status.", labels=["status"])
        for status in get_args(Status):
            statuses.add_metric([status], sum(each.status == status for each in described))
        yield from (lag, state, statuses)

    def _shown(self, described: list[ProcessorDescription]) -> Iterator[ProcessorMetrics]:
        for each in described:
            try:
                metrics = self._engine.processor_metrics(each.processor_id)
            except ProcessorNotFound:  # it was deleted meanwhile
                continue
            yield msgspec.json.decode(metrics, type=ProcessorMetrics)
