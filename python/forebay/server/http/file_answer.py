"""A file as a response: in pieces, no faster than its client takes it, and any part of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from forebay.errors import ForebayError
from forebay.server.http.byte_range import NotModified, Part, Unsatisfiable, wanted
from forebay.server.http.deliveries import SLOWEST_BYTES_A_SECOND, STALLED_SECONDS
from forebay.server.http.response import Header, Response
from forebay.server.http.stream_writer import MAX_OUTSTANDING_BYTES
from forebay.server.http.streaming import Streaming

if TYPE_CHECKING:
    from forebay.server.http.deliveries import Deliveries
    from forebay.server.http.request import Request
    from forebay.server.http.stream_writer import StreamWriter

log = structlog.get_logger("forebay.http")

PIECE_BYTES = 256 << 10
"""What is read at once: several pieces fit into what a response may have queued."""

HELD_BYTES = 4 * MAX_OUTSTANDING_BYTES
"""What one answer takes of the budget of large ones: what it may have queued, and the copies of that on their way. So
32 are sent at once, which also bounds the files that are open for them; the next one waits."""

_PACE_SECONDS = 0.02

Read = Callable[[Callable[[int, int, int], bytes], int, int, int], Awaitable[bytes]]
"""Calls `os.pread`, off the event loop."""

Open = Callable[[], Awaitable[int]]
"""Opens the file, and gives its descriptor away."""

Held = Callable[[Callable[[], object]], AbstractContextManager[None]]
"""Ends an answer, by the function that it gets, when the client may not read any more."""


@dataclass(slots=True, frozen=True)
class FileAnswer:
    """A file, and what is said of it.

    Attributes:
        tag: its strong entity tag, in quotation marks; a file under it never changes.
    """

    length: int
    tag: str
    headers: list[Header]

    async def response(
        self, request: Request, deliveries: Deliveries, open_file: Open, read: Read, held: Held
    ) -> Response | Streaming:
        """Answers what the request asks for of it. It is opened once there is room for its answer.

        Raises:
            Saturated: answers that others have not taken yet fill their memory.
            whatever `open_file` raises
        """
        headers = [*self.headers, ("etag", self.tag), ("accept-ranges", "bytes")]
        is_head = request.scope.method == "HEAD"
        part = wanted(request.scope.headers, self.tag, self.length, has_parts=not is_head)
        if isinstance(part, NotModified):
            return Response(304, b"", headers)
        if isinstance(part, Unsatisfiable):
            return Response(416, b"", [*headers, ("content-range", f"bytes */{self.length}")])
        if is_head or not self.length:
            return Response(200, b"", [*headers, ("content-length", str(self.length))])
        status, whole = (200, Part(0, self.length)) if part is None else (206, part)
        if part is not None:
            headers.append(("content-range", f"bytes {part.start}-{part.end - 1}/{self.length}"))
        room = await deliveries.room(request.principal.digest, HELD_BYTES)
        try:
            descriptor = await open_file()
        except BaseException:
            room.release()
            raise

        async def feed(writer: StreamWriter) -> None:
            with held(writer.cut):
                await _send(descriptor, whole, writer, read)

        def release() -> None:
            os.close(descriptor)
            room.release()

        return Streaming(headers, feed, status, whole.end - whole.start, release)


async def _send(descriptor: int, part: Part, writer: StreamWriter, read: Read) -> None:
    """Sends the part. An answer that cannot be sent to its end is broken off, so that nobody takes it for whole."""
    loop = asyncio.get_running_loop()
    at, ends = part.start, loop.time() + STALLED_SECONDS
    while at < part.end and await _room(writer, ends):
        try:
            piece = await read(os.pread, descriptor, min(PIECE_BYTES, part.end - at), at)
        except (OSError, ForebayError) as error:
            log.error("a file cannot be read to its end, and its download is broken off", error=str(error))
            piece = b""
        if not piece:
            writer.cut()
            return
        writer.send(piece)
        at += len(piece)
        ends += len(piece) / SLOWEST_BYTES_A_SECOND
    if at < part.end:
        writer.cut()


async def _room(writer: StreamWriter, ends: float) -> bool:
    """Waits until the client takes more; False when it is gone, takes nothing, or is too slow."""
    loop = asyncio.get_running_loop()
    taken, since = writer.taken, loop.time()
    while writer.open and writer.full:
        await asyncio.sleep(_PACE_SECONDS)
        now = loop.time()
        if writer.taken != taken:
            taken, since = writer.taken, now
        if now - since > STALLED_SECONDS or now > ends:
            return False
    return writer.open
