"""A response that is sent in pieces, and how much of it the client has not taken yet.

Granian queues without bound what is sent on a stream. The kernel knows what the client has taken: `tcpi_bytes_acked` of
TCP_INFO (tcp(7), linux/tcp.h), so what is queued is what was sent and is not acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Sequence

from forebay.server.http.response import SERVER, Header
from forebay.server.http.rsgi import HttpProtocol, StreamTransport

MAX_OUTSTANDING_BYTES = 1 << 20
"""Of one response: a reader that has not taken this much gets no more until it has. Several pieces of a busy stream
fit, and a thousand readers that stand still hold a gigabyte at most, most of it in the kernel's own buffers."""

MAX_UNMEASURED_BYTES = 8 << 20
"""Where the kernel does not tell what was taken, a response ends after this much; a client that resumes comes back."""

_TCP_INFO_BYTES = 128
_BYTES_ACKED_AT = 120
_TCP_CLOSE = 7
"""`tcpi_state` of a connection that is no more (net/tcp_states.h)."""

_CHUNK_FRAMING = 4
"""Two line ends around a chunk, beside its length in hexadecimal (RFC 9112, 7.1)."""


class StreamWriter:
    """One streamed response. Lives on the event loop. `connection` is a descriptor of its own, closed with it."""

    def __init__(self, protocol: HttpProtocol, connection: socket.socket | None, headers: Sequence[Header]) -> None:
        self._connection = connection
        self._base = 0 if self._connection is None else (acknowledged(self._connection) or 0)
        self._acked = 0
        self._sent = 0
        self._transport: StreamTransport | None = protocol.response_stream(200, [*headers, SERVER])
        self.gone = asyncio.ensure_future(protocol.client_disconnect())
        """Done when the client has gone away."""

    @property
    def open(self) -> bool:
        return self._transport is not None and not self.gone.done()

    def send(self, piece: bytes) -> None:
        """Queues a piece. Without effect when the response has ended or the client is gone."""
        if self._transport is None or not piece:
            return
        try:
            # Takes effect when it is called; what it returns is done already.
            self._transport.send_bytes(piece)
        except RuntimeError:
            # RSGI's for a client that is gone.
            self._transport = None
            return
        self._sent += len(piece) + len(f"{len(piece):x}") + _CHUNK_FRAMING
        if self._connection is None and self._sent > MAX_UNMEASURED_BYTES:
            self.close()

    @property
    def full(self) -> bool:
        """Whether the client has to take something before it gets more."""
        if self._connection is None or self._sent - self._acked <= MAX_OUTSTANDING_BYTES:
            return False
        return self._sent - self.taken > MAX_OUTSTANDING_BYTES

    @property
    def taken(self) -> int:
        """Bytes that the client has acknowledged, within a response header's size. Grows while it reads."""
        if self._connection is not None:
            acked = acknowledged(self._connection)
            if acked is not None:
                self._acked = acked - self._base
        return self._acked

    def close(self) -> None:
        """Ends the response; what is queued is still sent."""
        self._transport = None
        self.gone.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def cut(self) -> None:
        """Breaks the connection off, and drops what is queued."""
        if self._connection is not None:
            break_off(self._connection)
        self.close()


def break_off(connection: socket.socket) -> None:
    """Ends a connection, whoever has it too, and drops what is queued."""
    with contextlib.suppress(OSError):
        # With a linger of zero the kernel drops its part too, when the server closes.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)


def acknowledged(connection: socket.socket) -> int | None:
    """Bytes that the other side has acknowledged since the connection began; None where the system does not tell, or
    when the connection is closed."""
    try:
        found = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    if len(found) < _BYTES_ACKED_AT + 8 or found[0] == _TCP_CLOSE:
        return None
    (acked,) = struct.unpack_from("=Q", found, _BYTES_ACKED_AT)
    return int(acked)
