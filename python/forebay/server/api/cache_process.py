"""Every route of `forebay cache`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from forebay.cache.times import now_ms, rfc3339
from forebay.errors import StorageUnavailable
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


_STALE = "views were last published at"
_START = "start a server with this cache and cache_prefix, or see its log for what keeps it from writing to Redis"


class CacheReady(msgspec.Struct):
    """Redis answers, and somebody publishes views."""

    status: Literal["ready"]


class CacheUnready(msgspec.Struct):
    """Views cannot be read for this `reason`."""

    status: Literal["unavailable"]
    reason: str


def routes(reader: RedisCache, blocking: Blocking) -> list[Route]:
    registry = process_registry()
    registry.register(ReaderCollector(reader))

    async def ready(_request: Request) -> Response:
        now = now_ms()
        try:
            as_of = await reader.as_of(now)
        except StorageUnavailable as error:
            return json_response(503, CacheUnready("unavailable", error.detail))
        if as_of != now:
            return json_response(503, CacheUnready("unavailable", f"{_STALE} {rfc3339(as_of)}: {_START}"))
        return json_response(200, CacheReady("ready"))

    return [
        *liveness(),
        Route(
            "GET",
            "/readyz",
            ready,
            Role.NONE,
            summary="Readiness: whether views can be read, and are published.",
            responses={
                200: ResponseSpec(CacheReady, "They are."),
                503: ResponseSpec(CacheUnready, "They are not."),
            },
        ),
        *views.routes(reader),
        route(registry, blocking, "Counters of this process."),
    ]
