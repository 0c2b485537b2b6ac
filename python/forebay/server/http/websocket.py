"""One WebSocket (RFC 6455) over Granian and the front.

RSGI can neither ping nor give a close code, and it refuses an upgrade with a bare status. The front sends these few
bytes: pings and close frames between messages, a refusal in place of Granian's.
"""

from __future__ import annotations

import asyncio
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from forebay import errors

if TYPE_CHECKING:
    from collections.abc import Container

    from forebay._forebay import Tunnel
    from forebay.server.http.response import Response
    from forebay.server.http.rsgi import Headers, Sending, WebSocketMessage, WebSocketProtocol, WebSocketTransport

GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, POLICY, TOO_BIG = 1001, 1002, 1003, 1008, 1009
"""Close codes (RFC 6455, section 7.4.1)."""

CLOSED = 0
"""The kind of the message that stands for the client's close frame."""

TEXT = 2

ACCEPT_SECONDS = 10.0
"""Bounds an accept, which takes one write to a client whose buffers are empty."""

CLOSE_SECONDS = 1.0
"""How long a client has to take the message before a close frame, and then to answer the frame. After that its
connection ends without."""

RETRY_SECONDS = 0.01
"""How often a close looks whether the message before it is sent."""

_PING = b"\x89\x00"
_CLOSE = struct.Struct("!BBH")
_CLOSE_OPCODE = 0x88

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class WebSocket:
    """An accepted WebSocket. Only the event loop uses it.

    Args:
        tunnel: the client's connection. Without it, for a client that did not come through the front, there are no
            pings and no close codes.
    """

    def __init__(self, protocol: WebSocketProtocol, transport: WebSocketTransport, tunnel: Tunnel | None) -> None:
        self._protocol = protocol
        self._transport = transport
        self._tunnel = tunnel
        self._sending: Sending | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.open = True
        self.closing = False

    @property
    def sending(self) -> bool:
        """True while the last message is on its way: the client does not read."""
        return self._sending is not None and not self._sending.done()

    def send(self, text: str) -> None:
        """Sends a message. Call it only when the last one is not `sending` any more. `receive` notices a client that is
        gone."""
        if self.open and not self.closing:
            self._sending = self._transport.send_str(text)

    async def receive(self) -> WebSocketMessage | None:
        """The next message; None when the connection is gone, or what came is no WebSocket frame."""
        try:
            return await self._transport.receive()
        except RuntimeError:
            # RSGI raises it for both.
            return None

    @property
    def received(self) -> int | None:
        """Bytes that came from the client, pongs among them; None when nobody counts them."""
        return None if self._tunnel is None else self._tunnel.received

    def ping(self) -> bool:
        """Asks for a pong; False when a message is on its way to the client, which has to take it first."""
        if self._tunnel is None or self.sending:
            return False
        self._tunnel.insert(_PING)
        return True

    def close(self, code: int) -> None:
        """Sends a close frame with that code, behind the message that is on its way. Nothing is sent after it, and
        `receive` ends when the client has answered it, or a moment later."""
        if not self.open or self.closing:
            return
        self.closing = True
        until = asyncio.get_running_loop().time() + CLOSE_SECONDS
        self._send_close(_CLOSE.pack(_CLOSE_OPCODE, 2, code), until)

    def _send_close(self, frame: bytes, until: float) -> None:
        if not self.open:
            return
        loop = asyncio.get_running_loop()
        if self._tunnel is None or (self.sending and loop.time() >= until):
            # Granian sends a close frame without a code, if the client takes one at all.
            self.end()
        elif self.sending:
            self._timer = loop.call_later(RETRY_SECONDS, self._send_close, frame, until)
        else:
            self._tunnel.insert_last(frame)
            self._timer = loop.call_later(CLOSE_SECONDS, self.end)

    def end(self) -> None:
        """Ends the connection, if it has not ended yet."""
        if not self.open:
            return
        self.open = False
        if self._timer is not None:
            # It would keep the connection, and so its place among those that there may be, until it is due.
            self._timer.cancel()
            self._timer = None
        self._protocol.close()
        if self.closing and self._tunnel is not None:
            # Ends a pending `receive`.
            self._tunnel.hang_up()

    def cut(self) -> None:
        """Breaks the connection off and drops what is queued."""
        if self._tunnel is not None:
            self._tunnel.reset()
        self.end()


async def accept(protocol: WebSocketProtocol, tunnel: Tunnel | None) -> WebSocket | None:
    """Grants the upgrade; None when the client went away meanwhile."""
    try:
        async with asyncio.timeout(ACCEPT_SECONDS):
            transport = await protocol.accept()
    except (RuntimeError, TimeoutError):
        protocol.close()
        return None
    return WebSocket(protocol, transport, tunnel)


def check_origin(headers: Headers, allowed: Container[str]) -> None:
    """Lets in clients that are no browsers, pages of this very host, and pages of the origins in `allowed`. Browsers
    send no preflight for a WebSocket to another host: they only name the page's origin (RFC 6455, 10.2).

    Raises:
        Forbidden: the page has another origin.
    """
    origin = headers.get("origin")
    if origin is None or origin.strip().lower() in allowed:
        return
    if not same_host(origin.strip().lower(), (headers.get("host") or "").strip().lower()):
        raise errors.Forbidden("pages of this origin may not connect; add it to websocket_origins to let it")


def same_host(origin: str, host: str) -> bool:
    """True when `host` ("host[:port]") serves the pages of `origin` ("scheme://host[:port]")."""
    try:
        page = urlsplit(origin)
        here = urlsplit(f"//{host}")
        default = _DEFAULT_PORTS.get(page.scheme)
        if page.hostname is None or here.hostname is None or default is None:
            return False
        return (page.hostname, page.port or default) == (here.hostname, here.port or default)
    except ValueError:
        return False


def refuse(response: Response, protocol: WebSocketProtocol, tunnel: Tunnel | None) -> None:
    """Answers an upgrade that is not granted, and ends the connection. A client that did not come through the front
    gets the status alone."""
    if tunnel is not None:
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in response.headers if name != "connection"]
        lines += [f"content-length: {len(response.body)}", "connection: close", "", ""]
        tunnel.answer("\r\n".join(lines).encode() + response.body)
    protocol.close(response.status)
