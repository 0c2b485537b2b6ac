"""`/api/metrics`, its history, and the reset of both."""

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
    from forebay.server.http.request import Request
    from forebay.server.services import Services


MAX_HOURS = 168
"""A week: the engine keeps points that long."""

HOURS = whole(
    "hours",
    1,
    1,
    MAX_HOURS,
    "How many hours back. Up to 24 hours there is a point every 10 seconds, beyond that every minute.",
)


class Reset(msgspec.Struct):
    """Totals, rates, latencies and the history start over; a running load test was stopped."""

    success: Literal[True]
    message: Literal["System metrics and state reset"]


def routes(services: Services) -> list[Route]:
    async def current(_request: Request) -> Response:
        return Response(200, services.live.encoded())

    async def history(request: Request) -> Response:
        # The engine reads and encodes up to 10,080 points (4 MB), so this must not run on the event loop.
        return Response(200, await services.blocking(services.engine.history, request.value(HOURS)))

    async def reset(request: Request) -> Response:
        request.principal.check_all_projects("so it resets nothing")
        await services.blocking(services.load_test.stop)
        await services.blocking(services.engine.reset_live)
        services.live.forget()
        return json_response(200, Reset(True, "System metrics and state reset"))

    return [
        Route(
            "GET",
            "/api/metrics",
            current,
            Role.READ,
            summary="Throughput, latency and errors of the events API, and the resources that it uses.",
            responses={200: ResponseSpec(Metrics, "Metrics, at most 50 ms old.")},
        ),
        Route(
            "GET",
            "/api/metrics/history",
            history,
            Role.READ,
            parameters=Parameters(HOURS),
            summary="Past values of /api/metrics, also from before restarts.",
            responses={200: ResponseSpec(History)},
        ),
        Route(
            "POST",
            "/api/reset",
            reset,
            Role.OPS,
            summary="Resets the metrics of /api/metrics and their history. Stored events are not touched.",
            responses={200: ResponseSpec(Reset)},
            errors=(errors.StorageUnavailable,),
        ),
    ]
