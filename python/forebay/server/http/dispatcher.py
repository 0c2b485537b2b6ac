"""The life of each request: who sent it, which route it has, its answer, and the answers to those that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

import structlog

from forebay import errors
from forebay.errors import ForebayError
from forebay.server.http.auth import ANONYMOUS, Authenticator, Principal
from forebay.server.http.deliveries import SMALL_BYTES, Deliveries, Room
from forebay.server.http.error_envelopes import Family, family_of, render
from forebay.server.http.gateway import is_upgrade
from forebay.server.http.request import Request, linger, shown
from forebay.server.http.response import Response
from forebay.server.http.router import Role, Route, Router
from forebay.server.http.rsgi import HttpProtocol, Scope, Watcher, WebSocketProtocol
from forebay.server.http.streaming import Streaming
from forebay.server.http.tasks import Tasks
from forebay.server.http.tickets import TICKET, Tickets, ticket_in
from forebay.server.http.websocket import refuse

if TYPE_CHECKING:
    from forebay._forebay import MemoryBudget, Tunnel

log = structlog.get_logger("forebay.app")


class Dispatcher:
    """Turns requests into calls of routes. Each is a task of `tasks`."""

    def __init__(
        self,
        router: Router,
        authenticator: Authenticator,
        tickets: Tickets,
        tasks: Tasks,
        *,
        deliveries: Deliveries,
        memory_budget: MemoryBudget,
        body_seconds: float,
        tunnel: Callable[[Scope], Tunnel | None] = lambda _scope: None,
    ) -> None:
        """`tunnel` gives the connection of a request's client; None when it did not come through the front."""
        self._router = router
        self._authenticator = authenticator
        self._tickets = tickets
        self._tasks = tasks
        self._deliveries = deliveries
        self._memory_budget = memory_budget
        self._body_seconds = body_seconds
        self._tunnel = tunnel
        self._loop = asyncio.get_running_loop()

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
        self._tasks.spawn(serve(scope, protocol))

    async def _upgrade(self, scope: Scope, protocol: WebSocketProtocol) -> None:
        """Answers an upgrade request, which may have any path, and serves the WebSocket to its end."""
        try:
            route, _bound, principal = self._admit(scope)
            route.parameters.parse(scope.query_string)
            if route.upgrade is None:
                raise errors.InvalidRequest(f"{shown(scope.path)} is no WebSocket: ask for no upgrade to one")
            await route.upgrade(scope, protocol, principal)
        except ForebayError as error:
            refuse(render(family_of(scope.path), error), protocol, self._tunnel(scope))
        except asyncio.CancelledError:
            protocol.close(503)
            raise
        except Exception as error:
            log.exception("an upgrade failed", path=scope.path, error=str(error))
            failed = render(family_of(scope.path), errors.Internal("the server failed"))
            refuse(failed, protocol, self._tunnel(scope))

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
                body_seconds=self._body_seconds,
                memory_budget=self._memory_budget,
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
            self._deliveries.follow(room, self._tunnel(scope))
        response.send(protocol)

    async def _room(self, response: Response, scope: Scope, principal: Principal) -> Room | None:
        """Reserves the memory of a large answer until it is delivered; None for a small one."""
        size = len(response.body)
        if size <= SMALL_BYTES or scope.method == "HEAD":
            if response.room is not None:
                response.room.release()
            return None
        if response.room is None:
            return await self._deliveries.room(principal.digest, size)
        response.room.shrink(size)
        return response.room

    async def _stream(self, response: Streaming, scope: Scope, protocol: HttpProtocol) -> None:
        try:
            await response.run(scope, protocol, self._tunnel(scope))
        except Exception as error:
            # Its status has been sent, so the only thing left is to end it.
            log.exception("a stream of events failed", path=scope.path, error=str(error))

    def _admit(self, scope: Scope) -> tuple[Route, dict[str, str], Principal]:
        """The route, its bound segments and the sender's principal. A sender without a token does not learn which
        routes there are. HTTP/1.1 asks for a Host header (RFC 9112, section 3.2)."""
        if scope.http_version == "1.1" and "host" not in scope.headers:
            raise errors.InvalidRequest("the request has no Host header")
        try:
            route, bound = self._router.find(scope.method, scope.path)
        except (errors.NotFound, errors.MethodNotAllowed):
            self._authenticator.require(scope.headers, Role.NONE)
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
                return self._tickets.require(ticket, route.role)
            return self._tickets.reopen(ticket, route.role, f"{scope.path}?{scope.query_string}")
        return self._authenticator.require(scope.headers, route.role, route.also)

    async def _refuse(
        self, family: Family, error: ForebayError, scope: Scope, protocol: HttpProtocol, request: Request | None
    ) -> None:
        unread = (request is None or request.broken_off) and _has_body(scope)
        render(family, error, close=unread).send(protocol)
        if unread and not isinstance(error, errors.RequestTimeout):
            await linger(protocol)


def _has_body(scope: Scope) -> bool:
    headers = scope.headers
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
