"""A server under test: how to install and start it, where its endpoint is, what its acknowledgement means."""

from __future__ import annotations

import shutil
import tempfile
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.cache import Cache
from harness.process import Cores, Process, cpu_seconds, free_port


@dataclass
class Launch:
    """The place and the options that a server is started with, and the processes it has started."""

    cache: Cache
    directory: Path
    port: int
    cores: Cores
    processes: list[Process] = field(default_factory=list)

    def run(self, command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> Process:
        """Starts one process of the server, pinned to the server's core."""
        log = self.directory / f"process-{len(self.processes)}.log"
        process = Process(command, self.cores.server, log, cwd, env)
        self.processes.append(process)
        return process

    def cpu_seconds(self) -> float:
        return cpu_seconds([process.child.pid for process in self.processes])

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop()


class Server(ABC):
    """An HTTP server that takes ``{"events": [...]}`` and answers 202 when it has done what ``ack`` says."""

    #: Short, as named on the command line.
    name: str
    #: For tables.
    title: str
    #: Where an acknowledged event is.
    ack: str
    path: str = "/v1/drain"
    health: str = "/health"
    #: Load before each measurement; servers whose code is compiled as it runs need longer.
    warmup_s: float = 1.0

    def prepare(self, cache: Cache) -> None:  # noqa: B027 - most servers need it, forebay does not
        """Installs what is needed; raises :class:`harness.cache.Missing` when a tool is not there."""

    @abstractmethod
    def start(self, launch: Launch) -> None:
        """Starts all processes with ``launch.run``; the data goes below ``launch.directory``."""

    @contextmanager
    def running(self, cache: Cache, cores: Cores) -> Iterator[Launch]:
        """A fresh server on an empty directory, answering its health URL; stopped and removed at the end."""
        with fresh(self.name, cache, cores) as launch:
            self.start(launch)
            launch.processes[-1].wait_until(lambda: healthy(f"http://127.0.0.1:{launch.port}{self.health}"))
            yield launch


@contextmanager
def fresh(name: str, cache: Cache, cores: Cores) -> Iterator[Launch]:
    """An empty directory and a free port; what was started is stopped and the directory removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=cache.data))
    launch = Launch(cache, directory, free_port(), cores)
    try:
        yield launch
    finally:
        launch.stop()
        shutil.rmtree(directory, ignore_errors=True)


def healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
