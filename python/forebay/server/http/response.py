"""A response, and the headers that many responses share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from forebay.server.http.rsgi import HttpProtocol

if TYPE_CHECKING:
    from forebay.server.http.deliveries import Room

Header = tuple[str, str]

JSON: Header = ("content-type", "application/json")
NDJSON: Header = ("content-type", "application/x-ndjson")
SERVER: Header = ("server", "forebay")
"""The front sends the same; Granian would send its own name."""


@dataclass(slots=True, frozen=True)
class Response:
    """A response with a whole body."""

    status: int
    body: bytes
    headers: list[Header] = field(default_factory=lambda: [JSON])
    room: Room | None = None
    """Its part of the budget of large answers, when the route has reserved it."""

    def send(self, protocol: HttpProtocol) -> None:
        protocol.response_bytes(self.status, [*self.headers, SERVER], self.body)


def json_response(status: int, shape: Mapping[str, object] | msgspec.Struct) -> Response:
    return Response(status, msgspec.json.encode(shape))
