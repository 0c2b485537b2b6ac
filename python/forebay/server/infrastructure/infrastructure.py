"""The infrastructure of one server: its own services and its dependencies, watched in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from forebay.server.infrastructure.dependency import dependencies
from forebay.server.infrastructure.names import Names
from forebay.server.infrastructure.own_services import Figures, OwnServices, figures
from forebay.server.infrastructure.probes.kinds import probe_of
from forebay.server.infrastructure.watch import Watch

if TYPE_CHECKING:
    from forebay._forebay import Engine
    from forebay.cache.service import ViewService
    from forebay.server.broadcast.background import Background
    from forebay.server.health import HealthReport
    from forebay.server.infrastructure.shapes import ServiceHealth

log = structlog.get_logger("forebay.infrastructure")

OWN_SECONDS = 2.0
"""How often the engine's counters and queues are read, some hundred microseconds of work."""

SPREAD_SECONDS = 1.0
"""The first probes begin within so long, and the later ones as far from each other: a hundred connections at once would
keep requests waiting."""


class _Queue(msgspec.Struct):
    name: str
    waiting_jobs: int


class _Queues(msgspec.Struct):
    queues: list[_Queue]


class Infrastructure:
    """Asks everything in the background, so that who wants to know waits for nothing. Only the event loop uses it."""

    def __init__(
        self,
        engine: Engine,
        background: Background,
        views: ViewService,
        report: Callable[[], HealthReport | None],
        tables: Sequence[Mapping[str, Any]],
        window_seconds: float,
    ) -> None:
        """
        Args:
            tables: the setting `dependency`.
            window_seconds: the window that the API server's times and errors are of.

        Raises:
            ConfigError: a dependency is wrong.
        """
        self._engine = engine
        self._background = background
        self._views = views
        self._own = OwnServices(report, window_seconds)
        self._waiting: dict[str, int] | None = None
        self._is_reading = False
        names = Names()
        configured = dependencies(tables)
        self._needs_queues = any(dependency.queue for dependency, _ in configured)
        self._watches = [
            Watch(dependency, probe_of(f"dependency[{index}]", dependency, address, names), self._backlog)
            for index, (dependency, address) in enumerate(configured)
        ]

    def services(self) -> list[ServiceHealth]:
        """Every service, from memory: this server's own ones, then the others in the order of the configuration."""
        return [*self._own.services(), *(watch.health for watch in self._watches)]

    async def run(self, stopping: asyncio.Event) -> None:
        """Watches until the server stops."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._measure(stopping))
            for index, watch in enumerate(self._watches):
                group.create_task(watch.run(stopping, SPREAD_SECONDS * index / len(self._watches)))

    async def _measure(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self._look()
            except Exception as error:
                # The next look may work, and the probes go on meanwhile.
                log.exception("the server's own services could not be looked at", error=str(error))
            try:
                async with asyncio.timeout(OWN_SECONDS):
                    await stopping.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        if self._is_reading:
            # The disk hangs. One thread of the pool waits for it, and further ones would be missing to who reads.
            return
        counted, problems, waiting = await self._background.blocking(self._read)
        self._own.measured(counted, await self._views.cache.health(), problems)
        self._waiting = waiting

    def _read(self) -> tuple[Figures, list[str], dict[str, int]]:
        """Asks the engine, which may have to wait for a lock that is held over an operation of the disk."""
        self._is_reading = True
        try:
            return figures(self._engine.metrics()), self._views.problems(), self._queues()
        finally:
            self._is_reading = False

    def _queues(self) -> dict[str, int]:
        """How many jobs wait, by queue, and by the name that its priorities share."""
        waiting: dict[str, int] = {}
        if self._needs_queues:
            for queue in msgspec.json.decode(self._engine.job_queues(), type=_Queues).queues:
                for name in {queue.name, queue.name.split(":")[1]}:
                    waiting[name] = waiting.get(name, 0) + queue.waiting_jobs
        return waiting

    def _backlog(self, queue: str) -> int | None:
        return None if self._waiting is None else self._waiting.get(queue, 0)
