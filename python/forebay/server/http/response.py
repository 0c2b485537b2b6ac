"""A response, and the header rows that are built once."""

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
"""As the front says it; Granian would name itself."""


@dataclass(slots=True, frozen=True)
class Response:
    """Status, whole body, headers."""

    status: int
    body: bytes
    headers: list[Header] = field(default_factory=lambda: [JSON])
    room: Room | None = None
    """What it takes of the budget of large answers, where that was asked for before it was made."""

    def send(self, protocol: HttpProtocol) -> None:
        protocol.response_bytes(self.status, [*self.headers, SERVER], self.body)


def json_response(status: int, shape: Mapping[str, object] | msgspec.Struct) -> Response:
    return Response(status, msgspec.json.encode(shape))
