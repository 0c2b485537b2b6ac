"""Liveness and readiness, for load balancers and orchestrators."""

from __future__ import annotations

from collections.abc import Callable
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
    """The server refuses writes for this `reason`, or what counts its views does not run yet. `mode` is the log's, and
    missing when the reason is another."""

    status: Literal["unavailable"]
    mode: Literal["full", "stalled", "read_only", "poisoned", "closed"] | msgspec.UnsetType
    reason: str | None


_OK = json_response(200, Alive("ok"))


def liveness() -> list[Route]:
    """The routes of any process that say that it serves."""

    async def alive(_request: Request) -> Response:
        return _OK

    summary = "Liveness: whether the process serves."
    live = {200: ResponseSpec(Alive, "The process serves.")}
    return [
        Route("GET", path, alive, Role.NONE, summary=summary, responses=live) for path in ("/health", "/v1/healthz")
    ]


def routes(services: Services, behind: Callable[[], str | None] = lambda: None) -> list[Route]:
    """`behind` says what else is not ready yet, in words; None when nothing is missing."""

    async def ready(_request: Request) -> Response:
        if services.stopping.is_set():
            return json_response(503, Unready("unavailable", msgspec.UNSET, "the server is shutting down"))
        status = services.engine.status()
        # A full disk is not ready: writes are refused until there is room again.
        if status["mode"] == "running":
            reason = behind()
            if reason is not None:
                return json_response(503, Unready("unavailable", msgspec.UNSET, reason))
            return json_response(200, Ready("ready", services.settings.durability))
        return json_response(503, msgspec.convert({"status": "unavailable", **status}, Unready))

    return [
        *liveness(),
        Route(
            "GET",
            "/readyz",
            ready,
            Role.NONE,
            summary="Readiness: whether the server takes writes.",
            responses={
                200: ResponseSpec(Ready, "The server takes writes."),
                503: ResponseSpec(Unready, "The server refuses writes, or its views are not counted yet."),
            },
        ),
    ]
