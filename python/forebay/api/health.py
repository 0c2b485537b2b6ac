"""Liveness and readiness, for load balancers and orchestrators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.http.response import Response, json_response
from forebay.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.app import App
    from forebay.http.request import Request

_OK = Response(200, b'{"status":"ok"}')


def routes(app: App) -> list[Route]:
    async def alive(_request: Request) -> Response:
        return _OK

    async def ready(_request: Request) -> Response:
        if app.stopping.is_set():
            return json_response(503, {"status": "unavailable", "reason": "the server is shutting down"})
        status = app.engine.status()
        # A full disk is not ready: writes are refused until there is room again.
        if status["mode"] == "running":
            return json_response(200, {"status": "ready", "durability": app.settings.durability})
        return json_response(503, {"status": "unavailable", "mode": status["mode"], "reason": status["reason"]})

    return [
        Route("GET", "/health", alive, Role.NONE),
        Route("GET", "/v1/healthz", alive, Role.NONE),
        Route("GET", "/readyz", ready, Role.NONE),
    ]
