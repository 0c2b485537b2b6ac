"""`POST /api/scale`: the number of processing instances, which are the engine's worker threads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from forebay import errors
from forebay.server.http.body import MAX_BODY_BYTES, read
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.services import Services

MAX_INSTANCES = 64
"""The largest number; the engine enforces it as well."""

SCALE_SECONDS = 30.0
"""Longer than any commit on a working disk. After this the outcome is unknown."""

NO_SCALE = "so it does not scale the server"


class ScaleRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The wanted number of instances."""

    instances: Annotated[int, msgspec.Meta(ge=1, le=MAX_INSTANCES)]


class ScaleAnswer(msgspec.Struct):
    """The number is in force and stored."""

    success: Literal[True]
    message: str


def routes(services: Services) -> list[Route]:
    async def scale(request: Request) -> Response:
        request.principal.check_all_projects(NO_SCALE)
        asked = read(await request.body(), ScaleRequest)
        try:
            async with asyncio.timeout(SCALE_SECONDS):
                await services.blocking(services.engine.scale, asked.instances)
        except TimeoutError:
            raise errors.Timeout(
                f"the number was not durable within {SCALE_SECONDS:g} seconds; scale again, it is the same then"
            ) from None
        finally:
            # In every case the shared metrics may show the old number.
            services.live.forget()
        return json_response(200, ScaleAnswer(True, f"Scaled to {asked.instances} processing instances"))

    return [
        Route(
            "POST",
            "/api/scale",
            scale,
            Role.OPS,
            body_limit=MAX_BODY_BYTES,
            summary="Sets how many threads parse request bodies, now and after every restart.",
            shape=ScaleRequest,
            responses={200: ResponseSpec(ScaleAnswer, "The number is in force.")},
            errors=(errors.StorageUnavailable, errors.Timeout),
        ),
    ]
