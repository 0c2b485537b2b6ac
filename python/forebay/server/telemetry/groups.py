"""The lag of consumer groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from forebay.server.telemetry.labels import OTHERS

if TYPE_CHECKING:
    from forebay._forebay import Engine

MAX_GROUP_LABELS = 100
"""The most groups with a series of their own, by name; there may be 10,000 groups."""


class GroupCollector(Collector):
    """The lag of each group over all of its streams. The groups beyond the bound are summed up."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        lags = sorted((group.name, group.lag) for group in self._engine.groups())
        lag = GaugeMetricFamily(
            "forebay_group_lag_records",
            "Records after the offsets that the group committed, or after where it began to read.",
            labels=["group"],
        )
        for name, records in lags[:MAX_GROUP_LABELS]:
            lag.add_metric([name], records)
        if len(lags) > MAX_GROUP_LABELS:
            lag.add_metric([OTHERS], sum(records for _name, records in lags[MAX_GROUP_LABELS:]))
        yield lag
