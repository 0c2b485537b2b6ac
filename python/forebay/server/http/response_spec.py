"""A response of a route, as OpenAPI shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, frozen=True)
class ResponseSpec:
    """One response.

    Attributes:
        shape: the type of a JSON body, any that msgspec has a schema of; None for a body that is not JSON.
        description: when the route answers so.
        headers: names of the response headers that are always there; `openapi.HEADERS` has a row for each.
        media: the content type.
        other_media: further content types of bodies of the same shape.
    """

    shape: Any
    description: str = "Done."
    headers: tuple[str, ...] = ()
    media: str = "application/json"
    other_media: tuple[str, ...] = ()
