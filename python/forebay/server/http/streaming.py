"""A response that goes on until its client leaves."""

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
    """A stream of events that nothing can refuse any more; `feed` sends it until it ends."""

    headers: list[Header]
    feed: Callable[[StreamWriter], Awaitable[None]]

    async def run(self, scope: Scope, protocol: HttpProtocol, tunnel: Tunnel | None) -> None:
        if scope.method == "HEAD":
            Response(200, b"", self.headers).send(protocol)
            return
        writer = StreamWriter(protocol, tunnel, self.headers)
        try:
            await self.feed(writer)
        finally:
            writer.close()
