"""One message a second for all WebSockets. It is encoded once, and sent to each client that has taken the one before.

Nothing is queued: a client that is still receiving a message skips the next ones, and a client that stops reading, or
answers no ping, is disconnected. So a client costs its socket's buffers and one message at most.
"""

from __future__ import annotations

import asyncio
import contextlib
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
    from forebay._forebay import Tunnel
    from forebay.server.broadcast.background import Background
    from forebay.server.broadcast.live import LiveMetrics
    from forebay.server.broadcast.sessions import Sessions
    from forebay.server.http.auth import Principal
    from forebay.server.http.rsgi import WebSocketProtocol

log = structlog.get_logger("forebay.push")

PUSH_SECONDS = 1.0

STALL_SECONDS = 10.0
"""A client whose socket takes nothing for so long is disconnected."""

MAX_MESSAGE_BYTES = 4096
"""The longest text that is ignored, such as a keep-alive of a proxy or a library. Clients have nothing to send."""

CREDIT_BYTES = 64 << 10
CREDIT_PER_PUSH = 1 << 10
"""How much a client may send at once, and how much more with each push. Granian buffers a message until it is complete,
up to 64 MiB, without telling; a client that sends more than this is closed with the next push."""

HEADER_BYTES = 256 << 10
"""The longest upgrade request. A WebSocket begins on a new connection (RFC 6455, 4.1), so nothing else comes before."""

PACE_SECONDS = 0.01
"""The pause between two messages of a client. What it sends faster stays in the kernel's buffers."""

BATCH = 50
"""Clients that get the message before other work has its turn, which takes about a millisecond."""


class Subscriber:
    """One WebSocket, and how its client keeps up.

    A client that has sent nothing, not even a pong, from one ping to the next is disconnected: its buffers would take
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
        # The ping goes before the message, since none is sent while a message is on its way.
        if now - self._pinged >= self._ping_seconds:
            self._ping(received, now)
        if not socket.sending:
            socket.send(text)
            self._sent = now
        elif now - self._sent > STALL_SECONDS:
            socket.cut()

    def _afford(self, received: int) -> bool:
        """True while the client stays within its credit."""
        self._credit -= received - self._received
        self._received = received
        if self._credit < 0:
            return False
        self._credit = min(CREDIT_BYTES, self._credit + CREDIT_PER_PUSH)
        return True

    def _ping(self, received: int | None, now: float) -> None:
        if received is None:
            # Nobody counts what the client sends, so a pong would not be noticed.
            self._pinged = now
        elif received == self._received_at_ping:
            self.socket.cut()
        elif self.socket.ping():
            self._received_at_ping = received
            self._pinged = now
        elif now - self._pinged >= 2 * self._ping_seconds:
            # A message was on its way all the time, and the client did not take it.
            self.socket.cut()


class MetricsBroadcaster:
    """The WebSockets of one server. Only the event loop uses it."""

    def __init__(
        self,
        live: LiveMetrics,
        sessions: Sessions,
        background: Background,
        *,
        ping_seconds: float,
        limit: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            ping_seconds: how often a client is asked for a sign of life.
            limit: the most clients at once.
        """
        self._live = live
        self._sessions = sessions
        self._background = background
        self._ping_seconds = ping_seconds
        self._limit = limit
        self._clock = clock
        self._clients: set[Subscriber] = set()
        self._taken = 0
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._runs = False

    def __len__(self) -> int:
        """The number of clients."""
        return self._taken

    async def serve(self, protocol: WebSocketProtocol, tunnel: Tunnel | None, principal: Principal) -> None:
        """Accepts one client and sends it the metrics at once and every second, until it leaves or is disconnected, its
        token may not read any more, or the server stops.

        Raises:
            Saturated: there are `limit` clients already.
            Closed: the server stops.
        """
        if self._background.stopping.is_set():
            raise Closed("the server is shutting down")
        if self._taken >= self._limit:
            raise Saturated(f"there are {self._limit} WebSockets already, as many as max_websockets allows")
        self._taken += 1
        self._none_left.clear()
        try:
            socket = await accept(protocol, tunnel)
            if socket is not None:
                with self._sessions.held(principal, lambda: socket.close(POLICY)):
                    await self._follow(Subscriber(socket, self._ping_seconds, self._clock()))
        finally:
            self._taken -= 1
            if not self._taken:
                self._none_left.set()

    async def wait_closed(self, seconds: float) -> None:
        """Waits until no client is left, those among them whose upgrade was under way when the server began to stop, or
        until `seconds` have passed."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none_left.wait(), seconds)

    async def _follow(self, client: Subscriber) -> None:
        if not self._runs:
            self._runs = True
            self._background.spawn(self._run(self._background.stopping))
        self._clients.add(client)
        try:
            client.push(self._message(), self._clock())
            if self._background.stopping.is_set():
                client.socket.close(GOING_AWAY)
            await self._listen(client.socket)
        except Exception as error:
            # The upgrade was accepted, so there is no response left to report it in.
            log.exception("a websocket failed", error=str(error))
        finally:
            self._clients.discard(client)
            client.socket.end()

    async def _run(self, stopping: asyncio.Event) -> None:
        """Pushes every second until the server stops, then closes all clients."""
        due = self._clock()
        while not stopping.is_set():
            due = max(due + PUSH_SECONDS, self._clock())
            try:
                async with asyncio.timeout(due - self._clock()):
                    await stopping.wait()
            except TimeoutError:
                if self._clients:
                    await self._push()
        for client in list(self._clients):
            client.socket.close(GOING_AWAY)

    def _message(self) -> str:
        metrics = self._live.encoded().decode()
        return f'{{"type":"metrics","data":{metrics},"timestamp":{time.time_ns() // 1_000_000}}}'

    async def _push(self) -> None:
        try:
            text = self._message()
        except Exception as error:
            # The next push may work; clients notice the missing message.
            log.exception("the metrics could not be read", error=str(error))
            return
        for number, client in enumerate(list(self._clients), 1):
            if client in self._clients:
                self._push_to(client, text)
            if number % BATCH == 0:
                await asyncio.sleep(0)

    def _push_to(self, client: Subscriber, text: str) -> None:
        try:
            client.push(text, self._clock())
        except Exception as error:
            # A failure for one client must not stop the push to the others.
            log.exception("a websocket failed", error=str(error))
            client.socket.end()

    async def _listen(self, socket: WebSocket) -> None:
        while True:
            message = await socket.receive()
            if message is None:
                # Either the client is gone, or it sent no valid frame and the close code tells it so.
                socket.close(PROTOCOL_ERROR)
                return
            if message.kind == CLOSED:
                return
            if message.kind != TEXT:
                socket.close(UNSUPPORTED)
            elif len(message.data) > MAX_MESSAGE_BYTES:
                socket.close(TOO_BIG)
            await asyncio.sleep(PACE_SECONDS)
