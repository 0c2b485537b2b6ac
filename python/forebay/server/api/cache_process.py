"""Every route of `forebay cache`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from forebay.cache.cache import Health
from forebay.server.api import views
from forebay.server.api.operations.exposition import Blocking, process_registry, route
from forebay.server.api.operations.health import liveness
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.telemetry import ReaderCollector

if TYPE_CHECKING:
    from forebay.cache.redis.redis_cache import RedisCache
    from forebay.server.http.request import Request


_AWAY = "Redis does not answer; the log of this process says why"


class CacheReady(msgspec.Struct):
    """Redis answers."""

    status: Literal["ready"]


class CacheUnready(msgspec.Struct):
    """Views cannot be read for this `reason`."""

    status: Literal["unavailable"]
    reason: str


def routes(reader: RedisCache, blocking: Blocking) -> list[Route]:
    registry = process_registry()
    registry.register(ReaderCollector(reader))

    async def ready(_request: Request) -> Response:
        if await reader.health() is Health.REACHABLE:
            return json_response(200, CacheReady("ready"))
        return json_response(503, CacheUnready("unavailable", _AWAY))

    return [
        *liveness(),
        Route(
            "GET",
            "/readyz",
            ready,
            Role.NONE,
            summary="Readiness: whether views can be read.",
            responses={
                200: ResponseSpec(CacheReady, "They can be read."),
                503: ResponseSpec(CacheUnready, "They cannot."),
            },
        ),
        *views.routes(reader),
        route(registry, blocking, "Counters of this process."),
    ]
