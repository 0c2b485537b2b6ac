"""A response that goes on until its client leaves, or until all of it is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forebay.server.http.response import Header, Response
from forebay.server.http.rsgi import HttpProtocol, Scope
from forebay.server.http.stream_writer import StreamWriter

if TYPE_CHECKING:
    from forebay._forebay import Tunnel

EVENT_STREAM: list[Header] = [
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-store"),
    # Tells proxies not to buffer the answer, which would hold events back.
    ("x-accel-buffering", "no"),
]


@dataclass(slots=True, frozen=True)
class Streaming:
    """A stream that nothing can refuse any more; `feed` sends it until it ends.

    Attributes:
        length: the bytes that `feed` sends, where that is known: a client then notices an answer that broke off.
        release: is called once the response is over, however it ended and whether it began or not.
    """

    headers: list[Header]
    feed: Callable[[StreamWriter], Awaitable[None]]
    status: int = 200
    length: int | None = None
    release: Callable[[], object] = lambda: None

    async def run(self, scope: Scope, protocol: HttpProtocol, tunnel: Tunnel | None) -> None:
        try:
            await self._run(scope, protocol, tunnel)
        finally:
            self.release()

    async def _run(self, scope: Scope, protocol: HttpProtocol, tunnel: Tunnel | None) -> None:
        headers = list(self.headers)
        if self.length is not None:
            headers.append(("content-length", str(self.length)))
        if scope.method == "HEAD":
            Response(self.status, b"", headers).send(protocol)
            return
        writer = StreamWriter(protocol, tunnel, headers, status=self.status, is_chunked=self.length is None)
        try:
            await self.feed(writer)
        finally:
            writer.close()
