"""A response, and the header rows that are built once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from forebay.http.rsgi import HttpProtocol

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

    def send(self, protocol: HttpProtocol) -> None:
        protocol.response_bytes(self.status, [*self.headers, SERVER], self.body)


def json_response(status: int, shape: Mapping[str, object] | msgspec.Struct) -> Response:
    return Response(status, msgspec.json.encode(shape))
