"""Liveness and readiness, for load balancers and orchestrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from forebay.embedded.options import Durability
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.services import Services


class Alive(msgspec.Struct):
    """The process serves."""

    status: Literal["ok"]


class Ready(msgspec.Struct):
    """The server takes writes, and acknowledges them at `durability`."""

    status: Literal["ready"]
    durability: Durability


class Unready(msgspec.Struct):
    """The server refuses writes for this `reason`. `mode` is the log's, and missing when the server is shutting
    down."""

    status: Literal["unavailable"]
    mode: Literal["full", "stalled", "read_only", "poisoned", "closed"] | msgspec.UnsetType
    reason: str | None


_OK = json_response(200, Alive("ok"))


def routes(services: Services) -> list[Route]:
    async def alive(_request: Request) -> Response:
        return _OK

    async def ready(_request: Request) -> Response:
        if services.stopping.is_set():
            return json_response(503, Unready("unavailable", msgspec.UNSET, "the server is shutting down"))
        status = services.engine.status()
        # A full disk is not ready: writes are refused until there is room again.
        if status["mode"] == "running":
            return json_response(200, Ready("ready", services.settings.durability))
        return json_response(503, msgspec.convert({"status": "unavailable", **status}, Unready))

    health = "Liveness: whether the process serves."
    live = {200: ResponseSpec(Alive, "The process serves.")}
    return [
        Route("GET", "/health", alive, Role.NONE, summary=health, responses=live),
        Route("GET", "/v1/healthz", alive, Role.NONE, summary=health, responses=live),
        Route(
            "GET",
            "/readyz",
            ready,
            Role.NONE,
            summary="Readiness: whether the server takes writes.",
            responses={
                200: ResponseSpec(Ready, "The server takes writes."),
                503: ResponseSpec(Unready, "The server refuses writes."),
            },
        ),
    ]
