"""What a client refuses when it is made, or called: a slip that would otherwise be found out by the events it costs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from forebay.client import AsyncClient, Client

URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"spool_fsync": "always"}, "there is no spool to sync"),
        ({"exit_seconds": -1}, "exit_seconds is -1, must be from 0 to 3600"),
        ({"project_id": ""}, "project_id is empty"),
        ({"spool": ""}, "spool is empty"),
        ({"rejected_file": ""}, "rejected_file is empty"),
    ],
)
def test_an_argument_that_says_nothing_is_refused(arguments: dict[str, Any], said: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=said):
            kind(URL, **arguments)


@pytest.mark.parametrize(
    "route",
    [
        "/v1/drain",
        "/v1/drain/",
        "/below/v1/drain",
        "/v1/analytics/track/batch",
        "/v1/analytics/track",
        "/api/events",
        "/api/v1/streams/orders/events",
    ],
)
def test_a_url_with_a_route_is_refused(route: str) -> None:
    with pytest.raises(ValueError, match="give the server's URL without it"):
        Client(URL + route)


def test_help_shows_what_an_application_calls() -> None:
    shown = {name for name in dir(Client) if not name.startswith("_")}
    assert shown == {"log", "log_many", "track", "event", "publish", "search", "stats", "flush", "close"}
    assert {name for name in dir(AsyncClient) if not name.startswith("_")} == shown


@pytest.mark.parametrize("one", ["abc", b"abc", {"message": "a"}])
def test_one_event_is_not_taken_for_many(one: Any) -> None:
    client = Client(URL, exit_seconds=0)
    with pytest.raises(TypeError, match=f"not one {type(one).__name__}"):
        client.log_many(one)
    assert client.stats().accepted == 0
    client.close()

    async def call() -> None:
        async with AsyncClient(URL, exit_seconds=0) as other:
            with pytest.raises(TypeError, match=f"not one {type(one).__name__}"):
                await other.log_many(one)

    asyncio.run(call())
