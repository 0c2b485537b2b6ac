"""The number of processing instances: the engine's workers."""

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
    from forebay.server.app import App
    from forebay.server.http.request import Request

MAX_INSTANCES = 64
"""The contract's limit; the engine holds it itself."""

SCALE_SECONDS = 30.0
"""Beyond any commit of a disk that works; the answer is then that the outcome is unknown."""

NO_SCALE = "so it does not scale the server"


class ScaleRequest(msgspec.Struct, forbid_unknown_fields=True):
    """How many there are to be."""

    instances: Annotated[int, msgspec.Meta(ge=1, le=MAX_INSTANCES)]


class ScaleAnswer(msgspec.Struct):
    """It is in force, and stored."""

    success: Literal[True]
    message: str


def routes(app: App) -> list[Route]:
    async def scale(request: Request) -> Response:
        request.principal.check_all_projects(NO_SCALE)
        asked = read(await request.body(), ScaleRequest)
        try:
            async with asyncio.timeout(SCALE_SECONDS):
                await app.blocking(app.engine.scale, asked.instances)
        except TimeoutError:
            raise errors.Timeout(
                f"the number was not durable within {SCALE_SECONDS:g} seconds; scale again, it is the same then"
            ) from None
        finally:
            # Whatever came of it: what `/api/metrics` shares may say the old number.
            app.live.forget()
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
            responses={200: ResponseSpec(ScaleAnswer, "So many there are.")},
            errors=(errors.StorageUnavailable, errors.Timeout),
        ),
    ]
