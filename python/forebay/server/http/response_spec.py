"""What a route answers with, as OpenAPI shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, frozen=True)
class ResponseSpec:
    """One answer.

    Attributes:
        shape: the type of a JSON body, any that msgspec has a schema of; None for a body that is not JSON.
        description: when it is given.
        headers: names of response headers that are always there, rows of `openapi.HEADERS`.
        media: the content type.
    """

    shape: Any
    description: str = "Done."
    headers: tuple[str, ...] = ()
    media: str = "application/json"
