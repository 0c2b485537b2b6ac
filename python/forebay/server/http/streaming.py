"""A response without an end of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from forebay.server.http.descriptors import Descriptors
from forebay.server.http.response import Header, Response
from forebay.server.http.rsgi import HttpProtocol, Scope
from forebay.server.http.stream_writer import StreamWriter

EVENT_STREAM: list[Header] = [
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-store"),
    # Proxies that gather answers would hold events back.
    ("x-accel-buffering", "no"),
]


@dataclass(slots=True, frozen=True)
class Streaming:
    """Everything that can be refused has been; `feed` sends until the response ends."""

    headers: list[Header]
    feed: Callable[[StreamWriter], Awaitable[None]]

    async def run(self, scope: Scope, protocol: HttpProtocol, descriptors: Descriptors) -> None:
        if scope.method == "HEAD":
            Response(200, b"", self.headers).send(protocol)
            return
        writer = StreamWriter(protocol, descriptors.find(scope.client), self.headers)
        try:
            await self.feed(writer)
        finally:
            writer.close()
