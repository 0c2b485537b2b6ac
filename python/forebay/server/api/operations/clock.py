"""`POST /api/clock/release`: an operator confirms the wall clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.services import Services

NO_RELEASE = "so it does not release the clock"


class Released(msgspec.Struct):
    """The clock is trusted again; `released` says whether it was in doubt."""

    success: Literal[True]
    released: bool


def routes(services: Services) -> list[Route]:
    async def release(request: Request) -> Response:
        request.principal.check_all_projects(NO_RELEASE)
        return json_response(200, Released(True, await services.blocking(services.engine.release_clock)))

    return [
        Route(
            "POST",
            "/api/clock/release",
            release,
            Role.OPS,
            summary="Confirms the wall clock, after a restart of the machine that took long by that clock.",
            responses={200: ResponseSpec(Released, "Retention counts the time that the machine was off.")},
        ),
    ]
