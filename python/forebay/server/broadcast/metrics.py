"""One message a second for all WebSockets: written once, handed to each that has taken the one before.

Nothing is queued: a client that has not taken a message whole gets the next one that is due when it has, and one that
stands still, or gives no sign of life, is cut off. So a client costs its socket's buffers and one message, at most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from forebay.errors import Closed, Saturated
from forebay.server.http.websocket import (
    CLOSED,
    GOING_AWAY,
    POLICY,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    UNSUPPORTED,
    WebSocket,
    accept,
)

if TYPE_CHECKING:
    from forebay.server.app import App
    from forebay.server.http.auth import Principal
    from forebay.server.http.rsgi import Scope, WebSocketProtocol

log = structlog.get_logger("forebay.push")

PUSH_SECONDS = 1.0

STALL_SECONDS = 10.0
"""A client whose socket takes nothing for so long is cut off."""

MAX_MESSAGE_BYTES = 4096
"""Clients have nothing to say here. A short text is ignored, as keep-alives of proxies and libraries are."""

CREDIT_BYTES = 64 << 10
CREDIT_PER_PUSH = 1 << 10
"""What a client may send at once, and how fast it may again. Granian holds a message until it is whole, up to 64 MiB,
and does not say so; who sends more than this is closed with the next push."""

HEADER_BYTES = 256 << 10
"""What the request for the upgrade may have had. A WebSocket begins on a connection of its own (RFC 6455, 4.1), so
nothing else came before it."""

PACE_SECONDS = 0.01
"""Between two messages of a client: what it sends faster stays in the kernel's buffers."""

BATCH = 50
"""Clients that are sent to in one go, about a millisecond; then requests have their turn."""


class Subscriber:
    """One WebSocket, and what is known of how its client takes what it is sent.

    A client that has sent nothing, not even a pong, from one ping to the next is cut off: its buffers would take
    messages for many minutes more. Browsers answer pings by themselves.
    """

    def __init__(self, socket: WebSocket, ping_seconds: float, now: float) -> None:
        self.socket = socket
        self._ping_seconds = ping_seconds
        self._sent = now
        self._pinged = now
        self._received_at_ping: int | None = None
        self._received = 0
        self._credit = CREDIT_BYTES + HEADER_BYTES

    def push(self, text: str, now: float) -> None:
        """Sends a message, if the client has taken the last one."""
        socket = self.socket
        received = socket.received
        if received is not None and not self._afford(received):
            socket.close(TOO_BIG)
            socket.end()
            return
        # Before the message: behind it there is something on the way.
        if now - self._pinged >= self._ping_seconds:
            self._ping(received, now)
        if not socket.sending:
            socket.send(text)
            self._sent = now
        elif now - self._sent > STALL_SECONDS:
            socket.cut()

    def _afford(self, received: int) -> bool:
        """Whether the client has sent no more than it may."""
        self._credit -= received - self._received
        self._received = received
        if self._credit < 0:
            return False
        self._credit = min(CREDIT_BYTES, self._credit + CREDIT_PER_PUSH)
        return True

    def _ping(self, received: int | None, now: float) -> None:
        if received is None:
            # The system does not tell what it sends, so there is nothing to ask for.
            self._pinged = now
        elif received == self._received_at_ping:
            self.socket.cut()
        elif self.socket.ping():
            self._received_at_ping = received
            self._pinged = now
        elif now - self._pinged >= 2 * self._ping_seconds:
            # All the time something was on the way to it that it did not take.
            self.socket.cut()


class MetricsBroadcaster:
    """The WebSockets of one server. Lives on the event loop."""

    def __init__(self, app: App, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._ping_seconds = app.settings.websocket_ping_seconds
        self._limit = app.settings.max_websockets
        self._clock = clock
        self._clients: set[Subscriber] = set()
        self._taken = 0
        self._runs = False

    def __len__(self) -> int:
        """How many clients there are."""
        return self._taken

    async def serve(self, scope: Scope, protocol: WebSocketProtocol, principal: Principal) -> None:
        """Accepts one client and sends it the figures at once and every second, until it goes, is cut off, its token
        may not read any more, or the server stops.

        Raises:
            Saturated: there are as many clients as there may be.
            Closed: the server stops.
        """
        if self._app.stopping.is_set():
            raise Closed("the server is shutting down")
        if self._taken >= self._limit:
            raise Saturated(f"there are {self._limit} WebSockets already, as many as max_websockets allows")
        self._taken += 1
        try:
            socket = await accept(scope, protocol)
            if socket is not None:
                with self._app.sessions.held(principal, lambda: self._close(socket, POLICY)):
                    await self._follow(Subscriber(socket, self._ping_seconds, self._clock()))
        finally:
            self._taken -= 1

    async def _follow(self, client: Subscriber) -> None:
        if not self._runs:
            self._runs = True
            self._app.spawn(self._run(self._app.stopping))
        self._clients.add(client)
        try:
            client.push(self._message(), self._clock())
            if self._app.stopping.is_set():
                self._close(client.socket, GOING_AWAY)
            await self._listen(client.socket)
        except Exception as error:
            # It was accepted, so there is no answer left that could say it.
            log.exception("a websocket failed", error=str(error))
        finally:
            self._clients.discard(client)
            client.socket.end()

    async def _run(self, stopping: asyncio.Event) -> None:
        """Pushes every second, until the server stops; then closes the clients."""
        due = self._clock()
        while not stopping.is_set():
            due = max(due + PUSH_SECONDS, self._clock())
            try:
                async with asyncio.timeout(due - self._clock()):
                    await stopping.wait()
            except TimeoutError:
                if self._clients:
                    await self._push()
        self._find()
        for client in list(self._clients):
            client.socket.close(GOING_AWAY)

    def _message(self) -> str:
        metrics = self._app.live.encoded().decode()
        return f'{{"type":"metrics","data":{metrics},"timestamp":{time.time_ns() // 1_000_000}}}'

    async def _push(self) -> None:
        try:
            text = self._message()
        except Exception as error:
            # The next one may work; the clients see that nothing comes.
            log.exception("the figures could not be had", error=str(error))
            return
        self._find()
        for number, client in enumerate(list(self._clients), 1):
            if client in self._clients:
                self._push_to(client, text)
            if number % BATCH == 0:
                await asyncio.sleep(0)

    def _push_to(self, client: Subscriber, text: str) -> None:
        try:
            client.push(text, self._clock())
        except Exception as error:
            # One client's failure must not end the others' pushes.
            log.exception("a websocket failed", error=str(error))
            client.socket.end()

    def _find(self) -> None:
        for client in self._clients:
            client.socket.find(self._app.descriptors)

    def _close(self, socket: WebSocket, code: int) -> None:
        socket.find(self._app.descriptors)
        socket.close(code)

    async def _listen(self, socket: WebSocket) -> None:
        while True:
            message = await socket.receive()
            if message is None:
                # The client is gone; or what it sent is no frame, and it should be told.
                self._close(socket, PROTOCOL_ERROR)
                return
            if message.kind == CLOSED:
                return
            if message.kind != TEXT:
                self._close(socket, UNSUPPORTED)
            elif len(message.data) > MAX_MESSAGE_BYTES:
                self._close(socket, TOO_BIG)
            await asyncio.sleep(PACE_SECONDS)
