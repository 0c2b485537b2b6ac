"""The Cache API: the windows of analytics events, and whether the place where they are kept answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from forebay import errors
from forebay.cache import answers
from forebay.cache.answers import MAX_WINDOWS
from forebay.cache.cache import Cache, Health
from forebay.cache.shapes import EventWindow, Overview, PerformanceWindow
from forebay.cache.times import now_ms, rfc3339
from forebay.server.http.parameters import Parameter, Parameters, whole
from forebay.server.http.response import JSON, Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.http.request import Request

LIMIT = whole("limit", 20, 1, MAX_WINDOWS, "The most windows of the answer: the running minute and those before it.")

AS_OF = "forebay-as-of"

NO_VIEWS = "and views are of all events, so it reads none"


class CacheOk(msgspec.Struct):
    """Views are kept in a Redis that answers, or in this process: then `redis` is false, and `cache` says so."""

    status: Literal["ok"]
    redis: bool
    cache: Literal["embedded"] | msgspec.UnsetType = msgspec.UNSET


class CacheAway(msgspec.Struct):
    """Redis does not answer, or does not take what is written."""

    status: Literal["error"]
    redis: Literal[False]


_HEALTH = {
    Health.EMBEDDED: json_response(200, CacheOk("ok", False, "embedded")),
    Health.REACHABLE: json_response(200, CacheOk("ok", True)),
    Health.AWAY: json_response(503, CacheAway("error", False)),
}


def routes(cache: Cache, now_ms: Callable[[], int] = now_ms) -> list[Route]:
    """`now_ms` is the clock, in milliseconds since 1970 UTC."""

    async def health(_request: Request) -> Response:
        return _HEALTH[await cache.health()]

    async def overview() -> Response:
        as_of = await cache.as_of(now_ms())
        return _answer(as_of, await answers.overview(cache, as_of))

    async def latest() -> Response:
        as_of = await cache.as_of(now_ms())
        return _answer(as_of, await answers.latest(cache, as_of))

    return [
        Route(
            "GET",
            "/healthz",
            health,
            Role.NONE,
            summary="Whether the place where views are kept answers. No liveness probe: that is `/health`.",
            responses={
                200: ResponseSpec(CacheOk, "It answers."),
                503: ResponseSpec(CacheAway, "Redis does not answer."),
            },
        ),
        _view("/metrics/overview", "All analytics events, and the running hour.", Overview, overview),
        _view("/metrics/event/latest", "The analytics events of the running minute.", EventWindow, latest),
        *_windows(cache, now_ms),
    ]


def _windows(cache: Cache, now_ms: Callable[[], int]) -> list[Route]:
    async def events(limit: int) -> Response:
        as_of = await cache.as_of(now_ms())
        return _answer(as_of, await answers.event_windows(cache, limit, as_of))

    async def performance(limit: int) -> Response:
        as_of = await cache.as_of(now_ms())
        return _answer(as_of, await answers.performance_windows(cache, limit, as_of))

    return [
        _view(
            "/metrics/event/windows",
            "The analytics events of each minute, the newest first, back to the first that is kept.",
            list[EventWindow],
            events,
            LIMIT,
        ),
        _view(
            "/metrics/performance/windows",
            "The load times of each minute, from `metrics.load_time` of analytics events, the newest first.",
            list[PerformanceWindow],
            performance,
            LIMIT,
        ),
    ]


def _answer(as_of: int, shown: object) -> Response:
    return Response(200, msgspec.json.encode(shown), [JSON, (AS_OF, rfc3339(as_of))])


def _view(
    path: str, summary: str, shape: object, answer: Callable[..., Awaitable[Response]], *parameters: Parameter[int]
) -> Route:
    """`answer` takes the values of `parameters`."""

    async def run(request: Request) -> Response:
        request.principal.check_all_projects(NO_VIEWS)
        return await answer(*map(request.value, parameters))

    return Route(
        "GET",
        path,
        run,
        Role.READ,
        parameters=Parameters(*parameters),
        summary=summary,
        responses={200: ResponseSpec(shape, "By event time; zeros where there are no events.", ("Forebay-As-Of",))},
        errors=(errors.StorageUnavailable,),
    )
