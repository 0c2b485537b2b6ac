"""`/api/metrics` and what belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from forebay import errors
from forebay.server.broadcast.shapes import History, Metrics
from forebay.server.http.parameters import Parameters, whole
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.app import App
    from forebay.server.http.request import Request


MAX_HOURS = 168
"""A week, which is how long points are kept."""

HOURS = whole(
    "hours", 1, 1, MAX_HOURS, "How far back. Up to 24 there is a point every 10 seconds, beyond every minute."
)


class Reset(msgspec.Struct):
    """Totals, rates, latencies and the history begin anew; a load test was stopped."""

    success: Literal[True]
    message: Literal["System metrics and state reset"]


def routes(app: App) -> list[Route]:
    async def current(_request: Request) -> Response:
        return Response(200, app.live.encoded())

    async def history(request: Request) -> Response:
        # Up to 10,080 points and 4 MB: read and encoded by the engine, away from the event loop.
        return Response(200, await app.blocking(app.engine.history, request.value(HOURS)))

    async def reset(request: Request) -> Response:
        request.principal.check_all_projects("so it resets nothing")
        await app.blocking(app.load_test.stop)
        await app.blocking(app.engine.reset_live)
        app.live.forget()
        return json_response(200, Reset(True, "System metrics and state reset"))

    return [
        Route(
            "GET",
            "/api/metrics",
            current,
            Role.READ,
            summary="What comes in by the events API, how fast, and what it takes.",
            responses={200: ResponseSpec(Metrics, "The figures, at most 50 ms old.")},
        ),
        Route(
            "GET",
            "/api/metrics/history",
            history,
            Role.READ,
            parameters=Parameters(HOURS),
            summary="What /api/metrics showed, over restarts.",
            responses={200: ResponseSpec(History)},
        ),
        Route(
            "POST",
            "/api/reset",
            reset,
            Role.OPS,
            summary="Begins the figures of /api/metrics and their history anew. What is stored is not touched.",
            responses={200: ResponseSpec(Reset)},
            errors=(errors.StorageUnavailable,),
        ),
    ]
