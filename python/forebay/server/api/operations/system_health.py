"""`GET /api/health`: the seven checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.server.health import HealthReport
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.services import Services


def routes(services: Services) -> list[Route]:
    async def health(_request: Request) -> Response:
        report = await services.health.check()
        return json_response(503 if report.status == "unhealthy" else 200, report)

    return [
        Route(
            "GET",
            "/api/health",
            health,
            Role.READ,
            summary="Health of the server, check by check, each probed within the last second.",
            responses={
                200: ResponseSpec(HealthReport, "Healthy or degraded."),
                503: ResponseSpec(HealthReport, "Unhealthy: a check is critical."),
            },
        )
    ]
