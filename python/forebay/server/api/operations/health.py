"""Liveness and readiness, for load balancers and orchestrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from forebay.embedded.options import Durability
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.app import App
    from forebay.server.http.request import Request


class Alive(msgspec.Struct):
    """The process serves."""

    status: Literal["ok"]


class Ready(msgspec.Struct):
    """Writes are taken, and acknowledged at `durability`."""

    status: Literal["ready"]
    durability: Durability


class Unready(msgspec.Struct):
    """Writes are refused, and why; `mode` is the log's, and not there when the server is shutting down."""

    status: Literal["unavailable"]
    mode: Literal["full", "stalled", "read_only", "poisoned", "closed"] | msgspec.UnsetType
    reason: str | None


_OK = json_response(200, Alive("ok"))


def routes(app: App) -> list[Route]:
    async def alive(_request: Request) -> Response:
        return _OK

    async def ready(_request: Request) -> Response:
        if app.stopping.is_set():
            return json_response(503, Unready("unavailable", msgspec.UNSET, "the server is shutting down"))
        status = app.engine.status()
        # A full disk is not ready: writes are refused until there is room again.
        if status["mode"] == "running":
            return json_response(200, Ready("ready", app.settings.durability))
        return json_response(503, msgspec.convert({"status": "unavailable", **status}, Unready))

    health = "Whether the process serves."
    live = {200: ResponseSpec(Alive, "It does.")}
    return [
        Route("GET", "/health", alive, Role.NONE, summary=health, responses=live),
        Route("GET", "/v1/healthz", alive, Role.NONE, summary=health, responses=live),
        Route(
            "GET",
            "/readyz",
            ready,
            Role.NONE,
            summary="Whether writes are taken.",
            responses={200: ResponseSpec(Ready, "They are."), 503: ResponseSpec(Unready, "They are not.")},
        ),
    ]
