"""The application: one engine behind the routes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from forebay import errors
from forebay._forebay import Engine, Front, MemoryBudget, Tunnel
from forebay.cache.service import ViewService
from forebay.server import api
from forebay.server.broadcast.live import LiveMetrics
from forebay.server.broadcast.long_polls import LongPolls
from forebay.server.broadcast.metrics import MetricsBroadcaster
from forebay.server.broadcast.sessions import Sessions
from forebay.server.config import EMBEDDED, Settings
from forebay.server.exports.engine_jobs import EngineJobs
from forebay.server.exports.exports import Exports
from forebay.server.health import CheckContext, Health, figures
from forebay.server.http.auth import Authenticator
from forebay.server.http.deliveries import Deliveries
from forebay.server.http.dispatcher import Dispatcher
from forebay.server.http.router import Router
from forebay.server.http.rsgi import Scope
from forebay.server.http.tasks import Tasks
from forebay.server.http.tickets import Tickets
from forebay.server.infrastructure.infrastructure import Infrastructure
from forebay.server.infrastructure.reputation.reputation import Reputation
from forebay.server.load_test import LoadTest
from forebay.server.processors import ConfiguredProcessors
from forebay.server.searches import Searches

log = structlog.get_logger("forebay.app")

T = TypeVar("T")

READ_THREADS = 4
"""Threads for calls that block on the disk. More of them only take the processor from ingestion."""

BLOCKING_SECONDS = 60.0
"""Bounds a read from a disk that hangs, as `ack_timeout_seconds` bounds the wait for a commit."""

REFRESH_SECONDS = 0.5
"""How often the token file is looked at, and so how long a revoked token stays valid. The WebSockets that it holds open
end within `CLOSE_SECONDS` more: two seconds in all."""


class App:
    """The services of one server."""

    def __init__(self, engine: Engine, settings: Settings, authenticator: Authenticator) -> None:
        self.engine = engine
        self.settings = settings
        self.authenticator = authenticator
        self.tickets = Tickets(authenticator)
        self.sessions = Sessions(authenticator)
        self.memory_budget = MemoryBudget(settings.max_reading_bytes)
        self.stopping = asyncio.Event()
        self.polls = LongPolls(engine, self.stopping)
        self.live = LiveMetrics(engine, lambda: self.health.status)
        self.processors = ConfiguredProcessors(engine, settings.processors)
        redis = None if settings.cache == EMBEDDED else (settings.cache, settings.cache_prefix)
        self.views = ViewService(engine, settings.views_retention_ms, settings.views_lateness_ms, redis)
        self.health = Health(
            CheckContext(
                engine,
                settings,
                self.memory_budget,
                lambda: figures(self.live.current()),
                self.stopping.is_set,
                lambda: [*self.processors.problems(), *self.views.problems()],
            )
        )
        self.infrastructure = Infrastructure(
            engine, self, self.views, lambda: self.health.report, settings.dependency, settings.health_window_seconds
        )
        self.reputation = Reputation(engine, self, settings.sending_address, settings.reputation)
        self.load_test = LoadTest(engine)
        self.readers = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="forebay-read")
        self.deliveries = Deliveries()
        self.searches = Searches(self.sessions, self.deliveries, self.stopping)
        self.exports = Exports(engine, EngineJobs(engine), settings)
        self.websockets = MetricsBroadcaster(
            self.live,
            self.sessions,
            self,
            ping_seconds=settings.websocket_ping_seconds,
            limit=settings.max_websockets,
        )
        self.router = Router(api.routes(self))
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks()
        self.dispatcher = Dispatcher(
            self.router,
            authenticator,
            self.tickets,
            self._tasks,
            deliveries=self.deliveries,
            memory_budget=self.memory_budget,
            body_seconds=settings.body_timeout_seconds,
            tunnel=self.tunnel,
        )
        self.front: Front | None = None
        """None until the front serves the listener."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs `work` beside the requests; it is cancelled when the server stops."""
        return self._tasks.spawn(work)

    def tunnel(self, scope: Scope) -> Tunnel | None:
        """The connection of a request's client; None when it did not come through the front."""
        return None if self.front is None else self.front.tunnel(scope.client)

    async def blocking(self, call: Callable[..., T], *arguments: object) -> T:
        """Runs a blocking engine call on the read pool. A request or a broadcaster waits for one call at a time, so no
        more calls wait for a thread than there are connections.

        Raises:
            Timeout: a disk hangs, for this call or for those before it. A call that has not begun is given up; one
                that has begun goes on, and its outcome is unknown.
        """
        try:
            async with asyncio.timeout(BLOCKING_SECONDS):
                return await self._loop.run_in_executor(self.readers, call, *arguments)
        except TimeoutError:
            raise errors.Timeout(
                f"the log did not answer within {BLOCKING_SECONDS:g} seconds; the outcome is unknown"
            ) from None

    async def refresh_loop(self) -> None:
        """Keeps the live metrics up to date until the server stops."""
        await self._repeat(self._watch)

    async def token_refresh_loop(self) -> None:
        """Reads changed tokens until the server stops."""
        await self._repeat(self._refresh_tokens)

    async def processor_loop(self) -> None:
        """Creates processors of the configuration that could not be created at the start, until the server stops."""
        await self._repeat(self._create_processors)

    async def _repeat(self, look: Callable[[], Awaitable[None]]) -> None:
        while not self.stopping.is_set():
            try:
                await look()
            except Exception as error:
                # The loop goes on: without it a token that is revoked later would stay valid for ever.
                log.exception("a periodic task failed", error=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), REFRESH_SECONDS)

    async def _watch(self) -> None:
        self.live.watch()

    async def _create_processors(self) -> None:
        if not self.processors.is_complete:
            await self.blocking(self.processors.create)

    async def _refresh_tokens(self) -> None:
        # On a thread, since a disk that hangs must not stop the event loop.
        if await asyncio.to_thread(self.authenticator.refresh):
            if self.front is not None:
                self.front.set_principals(self.authenticator.ingesting())
            self.sessions.recheck()

    async def close(self) -> None:
        """Cancels the remaining tasks. Call it after the gateway has stopped."""
        await self._tasks.close()
        await self.views.close()
        self.polls.close()
        await asyncio.to_thread(self.exports.close)
        self.searches.close()
        self.readers.shutdown(wait=True)
