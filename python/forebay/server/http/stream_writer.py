"""A response that is sent in pieces, no faster than its client takes it.

Granian queues without bound what is sent on a stream. The front knows what the client's connection has taken
(`Tunnel.taken`), so the rest of what was sent is what is queued.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from forebay.server.http.response import SERVER, Header
from forebay.server.http.rsgi import HttpProtocol, StreamTransport

if TYPE_CHECKING:
    from forebay._forebay import Tunnel

MAX_OUTSTANDING_BYTES = 1 << 20
"""The most that one response may have queued: a reader that has not taken this much gets no more until it has. Several
pieces of a busy stream fit, and a thousand readers that stand still hold a gigabyte at most, most of it in the kernel's
own buffers."""

MAX_UNMEASURED_BYTES = 8 << 20
"""Where a response ends to a client that did not come through the front, since nobody knows what it has taken. A client
that resumes comes back."""

_CHUNK_FRAMING = 4
"""Two line ends around a chunk, beside its length in hexadecimal (RFC 9112, 7.1)."""


class StreamWriter:
    """One streamed response. Only the event loop uses it."""

    def __init__(
        self,
        protocol: HttpProtocol,
        tunnel: Tunnel | None,
        headers: Sequence[Header],
        *,
        status: int = 200,
        is_chunked: bool = True,
    ) -> None:
        """`is_chunked` is False for a response whose headers have its length."""
        self._tunnel = tunnel
        self._base = 0 if tunnel is None else tunnel.taken
        self._sent = 0
        self._is_chunked = is_chunked
        self._transport: StreamTransport | None = protocol.response_stream(status, [*headers, SERVER])
        self.gone = asyncio.ensure_future(protocol.client_disconnect())
        """Completes when the client has gone away."""

    @property
    def open(self) -> bool:
        return self._transport is not None and not self.gone.done()

    def send(self, piece: bytes) -> None:
        """Queues a piece. Has no effect when the response has ended or the client is gone."""
        if self._transport is None or not piece:
            return
        try:
            # The call itself takes effect; the awaitable that it returns is done already.
            self._transport.send_bytes(piece)
        except RuntimeError:
            # RSGI raises it when the client is gone.
            self._transport = None
            return
        self._sent += len(piece)
        if self._is_chunked:
            self._sent += len(f"{len(piece):x}") + _CHUNK_FRAMING
        if self._tunnel is None and self._sent > MAX_UNMEASURED_BYTES:
            self.close()

    @property
    def full(self) -> bool:
        """True when the client has to take something before it gets more."""
        return self._tunnel is not None and self._sent - self.taken > MAX_OUTSTANDING_BYTES

    @property
    def taken(self) -> int:
        """Bytes of the response that the client's connection has taken, its headers among them. It grows while the
        client reads."""
        return 0 if self._tunnel is None else self._tunnel.taken - self._base

    def close(self) -> None:
        """Ends the response; what is queued is still sent."""
        self._transport = None
        self.gone.cancel()

    def cut(self) -> None:
        """Breaks the connection off and drops what is queued."""
        if self._tunnel is not None:
            self._tunnel.reset()
        self.close()
