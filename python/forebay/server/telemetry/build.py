"""The release that runs."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from forebay import __version__


class BuildCollector(Collector):
    """The version, as a label of a constant."""

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("forebay_build_info", "1, with the release that runs as label.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
