"""The size of each stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from forebay.server.telemetry.labels import OTHERS

if TYPE_CHECKING:
    from forebay._forebay import Engine, StreamDescription

MAX_STREAM_LABELS = 100
"""The most streams with series of their own, four each. They are the oldest ones, so that a stream keeps its series."""


def _records(stream: StreamDescription) -> int:
    return sum(end - start for start, end in stream.partitions)


class StreamCollector(Collector):
    """Gauges of each stream, and a counter of appended records. The gauges of streams beyond the bound are summed up;
    their counters are left out, since the sum would fall when one of the streams is deleted."""

    _GAUGES = (
        (
            "forebay_stream_records",
            "Offsets from the first kept record to the end, by stream; a repair may leave some without a record.",
            _records,
        ),
        ("forebay_stream_stored_bytes", "Bytes of sealed segments on the disk, by stream.", lambda of: of.stored_bytes),
        ("forebay_stream_ring_bytes", "Bytes in memory that are not sealed yet, by stream.", lambda of: of.ring_bytes),
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        streams = sorted(self._engine.streams(), key=lambda stream: stream.id)
        shown, others = streams[:MAX_STREAM_LABELS], streams[MAX_STREAM_LABELS:]
        for name, text, value in self._GAUGES:
            family = GaugeMetricFamily(name, text, labels=["stream"])
            for stream in shown:
                family.add_metric([stream.name], value(stream))
            if others:
                family.add_metric([OTHERS], sum(map(value, others)))
            yield family
        appended = CounterMetricFamily(
            "forebay_stream_appended_records",
            "Records ever appended to the stream, also before the last start.",
            labels=["stream"],
        )
        for stream in shown:
            appended.add_metric([stream.name], sum(end for _start, end in stream.partitions))
        yield appended
