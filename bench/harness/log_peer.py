"""A log without HTTP, driven by its own client: what a binary protocol and a client on its own core give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from harness.cache import Cache
from harness.process import Cores
from harness.server import Launch, fresh

#: The size of a log event of `forebay-load`.
RECORD_BYTES = 250


@dataclass(frozen=True)
class LogMeasurement:
    records_per_second: float
    p50_ms: float
    p99_ms: float
    #: CPU seconds of the server, without its client, per million acknowledged records.
    cpu_s_per_million: float


class LogPeer(ABC):
    name: str
    title: str
    ack: str

    @abstractmethod
    def prepare(self, cache: Cache) -> None:
        """Installs what is needed; raises :class:`harness.cache.Missing` when a tool is not there."""

    @abstractmethod
    def start(self, launch: Launch) -> None:
        """Starts the server and waits until it serves."""

    @abstractmethod
    def drive(self, launch: Launch, seconds: float) -> LogMeasurement:
        """Warms up, then measures for about ``seconds``."""

    def measure(self, cache: Cache, cores: Cores, seconds: float) -> LogMeasurement:
        with fresh(self.name, cache, cores) as launch:
            self.start(launch)
            return self.drive(launch, seconds)
