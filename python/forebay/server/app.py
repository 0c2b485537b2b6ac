"""The application: one engine behind the routes, and the answers to requests that fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import structlog

from forebay import errors
from forebay._forebay import Engine, Front, MemoryBudget, Tunnel
from forebay.errors import ForebayError
from forebay.server import api
from forebay.server.broadcast.live import LiveMetrics
from forebay.server.broadcast.long_polls import LongPolls
from forebay.server.broadcast.metrics import MetricsBroadcaster
from forebay.server.broadcast.sessions import Sessions
from forebay.server.config import Settings
from forebay.server.health import CheckContext, Health, figures
from forebay.server.http.auth import ANONYMOUS, Authenticator, Principal
from forebay.server.http.deliveries import SMALL_BYTES, Deliveries, Room
from forebay.server.http.error_envelopes import Family, family_of, render
from forebay.server.http.gateway import is_upgrade
from forebay.server.http.request import Request, linger, shown
from forebay.server.http.response import Response
from forebay.server.http.router import Role, Route, Router
from forebay.server.http.rsgi import HttpProtocol, Scope, Watcher, WebSocketProtocol
from forebay.server.http.streaming import Streaming
from forebay.server.http.tickets import TICKET, Tickets, ticket_in
from forebay.server.http.websocket import refuse
from forebay.server.load_test import LoadTest
from forebay.server.processors import ConfiguredProcessors

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
    """The services of one server, and the life of each of its requests."""

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
        self.health = Health(
            CheckContext(
                engine,
                settings,
                self.memory_budget,
                lambda: figures(self.live.current()),
                self.stopping.is_set,
                self.processors.problems,
            )
        )
        self.load_test = LoadTest(engine)
        self.readers = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="forebay-read")
        self.deliveries = Deliveries()
        self.websockets = MetricsBroadcaster(
            self.live,
            self.sessions,
            self,
            ping_seconds=settings.websocket_ping_seconds,
            limit=settings.max_websockets,
        )
        self.router = Router(api.routes(self))
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.front: Front | None = None
        """None until the front serves the listener."""

    def schedule(self, watcher: Watcher) -> None:
        """Takes one request from Granian, on its Python thread. Must not raise: the caller is Rust."""
        protocol = watcher.proto
        serve: Callable[[Scope, Any], Coroutine[Any, Any, None]]
        serve = self._upgrade if is_upgrade(protocol) else self._serve
        try:
            self._loop.call_soon_threadsafe(self._start, serve, watcher.scope, protocol)
        except Exception as error:
            log.exception("request failed", error=str(error))
            if is_upgrade(protocol):
                protocol.close(503)
            else:
                render(Family.DRAIN, errors.Internal("the server failed")).send(cast(HttpProtocol, protocol))

    def _start(self, serve: Callable[[Scope, Any], Coroutine[Any, Any, None]], scope: Scope, protocol: object) -> None:
        self.spawn(serve(scope, protocol))

    async def _upgrade(self, scope: Scope, protocol: WebSocketProtocol) -> None:
        """Answers an upgrade request, which may have any path, and serves the WebSocket to its end."""
        try:
            route, _bound, principal = self._admit(scope)
            route.parameters.parse(scope.query_string)
            if route.upgrade is None:
                raise errors.InvalidRequest(f"{shown(scope.path)} is no WebSocket: ask for no upgrade to one")
            await route.upgrade(scope, protocol, principal)
        except ForebayError as error:
            refuse(render(family_of(scope.path), error), protocol, self.tunnel(scope))
        except asyncio.CancelledError:
            protocol.close(503)
            raise
        except Exception as error:
            log.exception("an upgrade failed", path=scope.path, error=str(error))
            failed = render(family_of(scope.path), errors.Internal("the server failed"))
            refuse(failed, protocol, self.tunnel(scope))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs `work` beside the requests; it is cancelled when the server stops."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, scope: Scope, protocol: HttpProtocol) -> None:
        path = scope.path
        request: Request | None = None
        try:
            route, bound, principal = self._admit(scope)
            request = Request(
                scope,
                protocol,
                bound,
                principal=principal,
                parameters=route.parameters,
                body_limit=route.body_limit,
                body_seconds=self.settings.body_timeout_seconds,
                memory_budget=self.memory_budget,
            )
            response = await route.answer(request)
            room = await self._room(response, scope, principal) if isinstance(response, Response) else None
        except ForebayError as error:
            await self._refuse(family_of(path), error, scope, protocol, request)
            return
        except asyncio.CancelledError:
            render(family_of(path), errors.Closed("the server is shutting down"), close=True).send(protocol)
            raise
        except Exception as error:
            if request is not None and request.broken_off and isinstance(error, RuntimeError):
                # RSGI raises it when the connection breaks while its body is read. Granian keeps the connection until
                # the request is answered.
                render(family_of(path), errors.Malformed("the body broke off"), close=True).send(protocol)
                return
            log.exception("request failed", method=scope.method, path=path, error=str(error))
            render(family_of(path), errors.Internal("the server failed"), close=True).send(protocol)
            return
        if isinstance(response, Streaming):
            await self._stream(response, scope, protocol)
            return
        if room is not None:
            self.deliveries.follow(room, self.tunnel(scope))
        response.send(protocol)

    async def _room(self, response: Response, scope: Scope, principal: Principal) -> Room | None:
        """Reserves the memory of a large answer until it is delivered; None for a small one."""
        size = len(response.body)
        if size <= SMALL_BYTES or scope.method == "HEAD":
            if response.room is not None:
                response.room.release()
            return None
        if response.room is None:
            return await self.deliveries.room(principal.digest, size)
        response.room.shrink(size)
        return response.room

    async def _stream(self, response: Streaming, scope: Scope, protocol: HttpProtocol) -> None:
        try:
            await response.run(scope, protocol, self.tunnel(scope))
        except Exception as error:
            # Its status has been sent, so the only thing left is to end it.
            log.exception("a stream of events failed", path=scope.path, error=str(error))

    def _admit(self, scope: Scope) -> tuple[Route, dict[str, str], Principal]:
        """The route, its bound segments and the sender's principal. A sender without a token does not learn which
        routes there are. HTTP/1.1 asks for a Host header (RFC 9112, section 3.2)."""
        if scope.http_version == "1.1" and "host" not in scope.headers:
            raise errors.InvalidRequest("the request has no Host header")
        try:
            route, bound = self.router.find(scope.method, scope.path)
        except (errors.NotFound, errors.MethodNotAllowed):
            self.authenticator.require(scope.headers, Role.NONE)
            raise
        return route, bound, self._authenticate(route, scope)

    def _authenticate(self, route: Route, scope: Scope) -> Principal:
        """The sender's principal, which has the route's role. A ticket wins over the header: behind a proxy with Basic
        authentication a browser sends a header of its own."""
        if route.role is Role.NONE:
            return ANONYMOUS
        ticket = ticket_in(scope.query_string) if scope.query_string and TICKET in route.parameters else None
        if ticket is not None:
            if route.upgrade is not None:
                return self.tickets.require(ticket, route.role)
            return self.tickets.reopen(ticket, route.role, f"{scope.path}?{scope.query_string}")
        return self.authenticator.require(scope.headers, route.role)

    async def _refuse(
        self, family: Family, error: ForebayError, scope: Scope, protocol: HttpProtocol, request: Request | None
    ) -> None:
        unread = (request is None or request.broken_off) and _has_body(scope)
        render(family, error, close=unread).send(protocol)
        if unread and not isinstance(error, errors.RequestTimeout):
            await linger(protocol)

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
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.polls.close()
        self.readers.shutdown(wait=True)


def _has_body(scope: Scope) -> bool:
    headers = scope.headers
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
