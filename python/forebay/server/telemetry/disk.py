"""The room on the data directory's filesystem."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class DiskCollector(Collector):
    """Free bytes that the server may use, without those reserved for root. There are no samples when the filesystem
    does not answer: no figure is better than a wrong one."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        free = GaugeMetricFamily("forebay_disk_free_bytes", "Bytes that the server may still write to its filesystem.")
        size = GaugeMetricFamily("forebay_disk_size_bytes", "Bytes of the data directory's filesystem.")
        try:
            usage = shutil.disk_usage(self._directory)
        except OSError:
            pass
        else:
            free.add_metric([], usage.free)
            size.add_metric([], usage.total)
        yield from (free, size)
