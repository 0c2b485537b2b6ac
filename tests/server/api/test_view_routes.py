"""The Cache API on any cache: its states, its bounds, and what OpenAPI says of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any, cast

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from forebay import errors
from forebay._forebay import Projects
from forebay.cache.cache import Health, Kind
from forebay.cache.shapes import MINUTE_MS, EventWindow, Totals
from forebay.cache.times import rfc3339
from forebay.cache.views import Views
from forebay.server.api import views
from forebay.server.http import openapi
from forebay.server.http.auth import ANONYMOUS, Principal
from forebay.server.http.parameters import Parameter
from forebay.server.http.request import Request
from forebay.server.http.response import Response
from forebay.server.http.router import Role, Router
from support.views import DAY_MS

NOW = 1_796_068_800_000 + 30_000


class Kept:
    """A cache in memory, in a state that the test chooses."""

    def __init__(self, health: Health = Health.EMBEDDED) -> None:
        self.views = Views(DAY_MS)
        self._health = health

    async def as_of(self, now_ms: int) -> int:
        return now_ms

    async def windows(self, kind: Kind, first_ms: int, last_ms: int) -> dict[int, bytes]:
        return self.views.windows(kind, first_ms, last_ms)

    async def totals(self) -> Totals:
        return self.views.totals()

    async def health(self) -> Health:
        return self._health


class Asked:
    """As much of a request as these routes look at."""

    def __init__(self, principal: Principal, values: dict[str, Any]) -> None:
        self.principal = principal
        self._values = values

    def value(self, parameter: Parameter[Any]) -> Any:
        return self._values[parameter.name]


def ask(cache: Kept, path: str, query: str = "", principal: Principal = ANONYMOUS) -> tuple[int, Any]:
    route, _ = Router(views.routes(cache, lambda: NOW)).find("GET", path)
    request = cast(Request, Asked(principal, route.parameters.parse(query)))
    answered = asyncio.run(_awaited(route.answer(request)))
    return answered.status, json.loads(answered.body)


async def _awaited(answer: Awaitable[Any]) -> Response:
    return cast(Response, await answer)


@pytest.mark.parametrize(
    ("health", "status", "shown"),
    [
        (Health.EMBEDDED, 200, {"status": "ok", "redis": False, "cache": "embedded"}),
        (Health.REACHABLE, 200, {"status": "ok", "redis": True}),
        (Health.AWAY, 503, {"status": "error", "redis": False}),
    ],
)
def test_healthz(health: Health, status: int, shown: dict[str, object]) -> None:
    assert ask(Kept(health), "/healthz") == (status, shown)


def test_minutes_without_events_are_listed_back_to_the_first() -> None:
    cache = Kept()
    minute = NOW // MINUTE_MS * MINUTE_MS
    first = minute - 2 * MINUTE_MS
    body = msgspec.json.encode(EventWindow(rfc3339(first), rfc3339(first + MINUTE_MS), 5, {"click": 5}, 2, 3))
    cache.views.put(Kind.EVENTS, first, body, NOW)
    cache.views.count(5, rfc3339(first))
    status, windows = ask(cache, "/metrics/event/windows")
    assert status == 200
    assert [(row["windowStart"], row["total"]) for row in windows] == [
        ("2026-11-30T20:00:00.000Z", 0),
        ("2026-11-30T19:59:00.000Z", 0),
        ("2026-11-30T19:58:00.000Z", 5),
    ]
    assert [row["total"] for row in ask(cache, "/metrics/event/windows", "limit=2")[1]] == [0, 0]
    assert ask(cache, "/metrics/event/latest")[1]["windowStart"] == "2026-11-30T20:00:00.000Z"
    assert ask(cache, "/metrics/performance/windows") == (200, [])
    assert ask(cache, "/metrics/overview")[1]["totalEvents"] == 5


def test_a_token_of_some_projects_reads_no_views() -> None:
    limited = Principal("limited", b"", frozenset({Role.READ}), Projects(["a"]))
    for path in (
        "/metrics/overview",
        "/metrics/event/latest",
        "/metrics/event/windows",
        "/metrics/performance/windows",
    ):
        with pytest.raises(errors.Forbidden, match="views are of all events"):
            ask(Kept(), path, principal=limited)
    assert ask(Kept(), "/healthz", principal=limited)[0] == 200


def test_openapi_describes_them() -> None:
    document = openapi.document(views.routes(Kept()), "1")
    OpenAPIV31SpecValidator(document).validate()
    assert set(document["paths"]["/healthz"]["get"]["responses"]) == {"200", "503", "400", "500"}
    windows = document["paths"]["/metrics/event/windows"]["get"]
    (limit,) = windows["parameters"]
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 1440, "default": 20}
    assert windows["security"]
    assert "security" not in document["paths"]["/healthz"]["get"]
