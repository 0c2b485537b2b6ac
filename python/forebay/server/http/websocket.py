"""One WebSocket (RFC 6455), as Granian has it and a little below.

RSGI can neither ping nor give a close code, and it refuses an upgrade with a bare status. These few bytes are written
to the connection's own descriptor: pings and close frames between messages, when the kernel has taken all that was sent
before; a refusal while the server below waits for ours, so that nothing else can be on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from forebay import errors

if TYPE_CHECKING:
    from collections.abc import Container

    from forebay.server.http.descriptors import Descriptors
    from forebay.server.http.response import Response
    from forebay.server.http.rsgi import (
        Headers,
        Scope,
        Sending,
        WebSocketMessage,
        WebSocketProtocol,
        WebSocketTransport,
    )

GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, POLICY, TOO_BIG = 1001, 1002, 1003, 1008, 1009
"""Close codes (RFC 6455, section 7.4.1)."""

CLOSED = 0
"""The kind of the message that stands for the client's close frame."""

TEXT = 2

ACCEPT_SECONDS = 10.0
"""It takes one write to the client, whose buffers are empty."""

CLOSE_SECONDS = 1.0
"""How long a client is given to answer a close frame before its connection ends without."""

RETRY_SECONDS = 0.01
"""Until a close frame is tried again that something is in the way of."""

MAX_LOOKS = 3
"""Where a descriptor was not found so often it will not be, and each look goes through all of them."""

_PING = b"\x89\x00"
_CLOSE = struct.Struct("!BBH")
_CLOSE_OPCODE = 0x88

_TCP_INFO_BYTES = 256
_NOTSENT_AT, _RECEIVED_AT = 144, 128
"""Of `tcpi_notsent_bytes` and `tcpi_bytes_received` (linux/tcp.h)."""

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class WebSocket:
    """An accepted one. Lives on the event loop."""

    def __init__(self, scope: Scope, protocol: WebSocketProtocol, transport: WebSocketTransport) -> None:
        self._client = scope.client
        self._protocol = protocol
        self._transport = transport
        self._connection: socket.socket | None = None
        self._sending: Sending | None = None
        self._looked = 0
        self.open = True
        self.closing = False

    def find(self, descriptors: Descriptors) -> None:
        """Looks up the connection's descriptor, without which there are no pings and no codes. Many sockets that are
        looked up one after the other, with nothing awaited in between, cost one look at all descriptors."""
        if self._connection is None and self.open and self._looked < MAX_LOOKS:
            self._looked += 1
            self._connection = descriptors.find(self._client)

    @property
    def sending(self) -> bool:
        """Whether the kernel has not taken the last message whole: the client does not read."""
        return self._sending is not None and not self._sending.done()

    def send(self, text: str) -> None:
        """Sends a message; to be called when the last one is not `sending` any more. A client that is gone shows in
        `receive`."""
        if self.open and not self.closing:
            self._sending = self._transport.send_str(text)

    async def receive(self) -> WebSocketMessage | None:
        """The next message; None when the connection is gone, or what came is no WebSocket frame."""
        try:
            return await self._transport.receive()
        except RuntimeError:
            # RSGI's for both.
            return None

    @property
    def received(self) -> int | None:
        """Bytes that came from the client, pongs among them; None where the system does not tell."""
        return self._info(_RECEIVED_AT, "=Q")

    def ping(self) -> bool:
        """Asks for a pong; False when something is on the way to the client, which it has to take first."""
        return self._write(_PING)

    def close(self, code: int) -> None:
        """Begins the end with a close frame of that code: nothing is sent any more, and `receive` ends when the client
        has answered it, or a moment later without. A message that is on its way goes out before."""
        if not self.open or self.closing:
            return
        self.closing = True
        until = asyncio.get_running_loop().time() + CLOSE_SECONDS
        self._say_goodbye(_CLOSE.pack(_CLOSE_OPCODE, 2, code), until)

    def _say_goodbye(self, frame: bytes, until: float) -> None:
        if not self.open:
            return
        loop = asyncio.get_running_loop()
        if self._write(frame):
            loop.call_later(CLOSE_SECONDS, self.end)
        elif self._connection is not None and loop.time() < until:
            # The last message is still on the way.
            loop.call_later(RETRY_SECONDS, self._say_goodbye, frame, until)
        else:
            # It does not read, or its descriptor is not known: the server below sends a frame without a code.
            self.end()

    def end(self) -> None:
        """Ends the connection, if it has not ended yet."""
        if not self.open:
            return
        self.open = False
        self._protocol.close()
        if self._connection is not None:
            if self.closing:
                with contextlib.suppress(OSError):
                    # Whoever waits in `receive` sees the end of it.
                    self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()
            self._connection = None

    def cut(self) -> None:
        """Breaks the connection off, and drops what is queued."""
        if self._connection is not None:
            self.closing = True
            with contextlib.suppress(OSError):
                # With a linger of zero the kernel drops its part too, when the server closes.
                self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.end()

    def _write(self, frame: bytes) -> bool:
        """Writes a control frame, if nothing else is on the way."""
        if self._connection is None or self.sending or self._info(_NOTSENT_AT, "=I"):
            return False
        try:
            return self._connection.send(frame, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) == len(frame)
        except OSError:
            return False

    def _info(self, place: int, kind: str) -> int | None:
        if self._connection is None:
            return None
        try:
            found = self._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        except OSError:
            return None
        if len(found) < place + struct.calcsize(kind):
            return None
        return int(struct.unpack_from(kind, found, place)[0])


async def accept(scope: Scope, protocol: WebSocketProtocol) -> WebSocket | None:
    """Grants the upgrade; None when the client went away meanwhile."""
    try:
        async with asyncio.timeout(ACCEPT_SECONDS):
            transport = await protocol.accept()
    except (RuntimeError, TimeoutError):
        protocol.close()
        return None
    return WebSocket(scope, protocol, transport)


def check_origin(headers: Headers, allowed: Container[str]) -> None:
    """Lets in who is no browser, a page of this very host, and pages of the origins in `allowed`. Browsers ask no
    leave for a WebSocket to elsewhere (there is no preflight): they only name the page's origin (RFC 6455, 10.2).

    Raises:
        Forbidden: the page is from elsewhere.
    """
    origin = headers.get("origin")
    if origin is None or origin.strip().lower() in allowed:
        return
    if not same_host(origin.strip().lower(), (headers.get("host") or "").strip().lower()):
        raise errors.Forbidden("pages of this origin may not connect; add it to websocket_origins to let it")


def same_host(origin: str, host: str) -> bool:
    """Whether `origin` ("scheme://host[:port]") is that of pages that `host` ("host[:port]") serves."""
    try:
        page = urlsplit(origin)
        here = urlsplit(f"//{host}")
        default = _DEFAULT_PORTS.get(page.scheme)
        if page.hostname is None or here.hostname is None or default is None:
            return False
        return (page.hostname, page.port or default) == (here.hostname, here.port or default)
    except ValueError:
        return False


def refuse(response: Response, scope: Scope, protocol: WebSocketProtocol, descriptors: Descriptors) -> None:
    """Answers an upgrade that is not granted, and ends the connection. With the status alone where its descriptor is
    not known."""
    connection = descriptors.find(scope.client)
    if connection is not None:
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in response.headers if name != "connection"]
        lines += [f"content-length: {len(response.body)}", "connection: close", "", ""]
        with connection, contextlib.suppress(OSError):
            connection.send("\r\n".join(lines).encode() + response.body, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            # What the server below would write after it is not sent any more.
            connection.shutdown(socket.SHUT_WR)
    protocol.close(response.status)
