"""Tickets over HTTP: what a browser does that has a token, and an EventSource that cannot send it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from forebay.server.http.router import Role, Route
from forebay.server.http.tickets import TICKET, TICKET_CHARACTERS, TICKET_SECONDS
from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, batch, event, wait_for
from support.sse import Tail

Start = Callable[..., RunningServer]
TAIL = "/api/v1/streams/{name}/tail"
DOWNLOAD = "/api/v1/platform/system/logs/export/{export_id}/download"
"""Browsers send no header of ours when they follow a link to a file."""


def made(running: RunningServer, secret: str | None = None) -> str:
    with running.client() as client:
        headers = {} if secret is None else {"authorization": secret}
        answer = client.post("/api/ticket", headers=headers).raise_for_status()
    body: dict[str, Any] = answer.json()
    assert set(body) == {"ticket", "expiresInSeconds"}
    assert body["expiresInSeconds"] == TICKET_SECONDS
    assert len(body["ticket"]) == TICKET_CHARACTERS
    assert answer.headers["cache-control"] == "no-store"
    return str(body["ticket"])


def browse(running: RunningServer, query: str, **headers: str) -> Tail:
    """A tail without the token."""
    kept, running.headers = running.headers, headers
    try:
        return Tail(running, query=query)
    finally:
        running.headers = kept


def token(running: RunningServer, name: str, *more: Any) -> str:
    secret = TokenStore(running.data_dir).create(name, *more)
    with running.client() as client:
        wait_for("the token", lambda: client.get("/nothing", headers={"authorization": secret}).status_code == 404)
    return secret


def test_a_ticket_opens_one_tail(authenticated_server: RunningServer) -> None:
    ticket = made(authenticated_server)
    tail = browse(authenticated_server, f"?from=earliest&ticket={ticket}")
    assert tail.status == 200
    authenticated_server.drain(batch(event("seen"))).raise_for_status()
    assert tail.messages(1)[-1]["value"]["message"] == "seen"
    tail.close()
    again = browse(authenticated_server, f"?from=now&ticket={ticket}")
    assert again.status == 401
    assert b"UNAUTHORIZED" in again.body
    assert ticket.encode() not in again.body
    again.close()


@pytest.mark.slow
def test_an_event_source_comes_back_by_itself_without_loss(authenticated_server: RunningServer) -> None:
    """It asks for the same address again, and sends the id of the last event that it has had."""
    query = f"?ticket={made(authenticated_server)}"
    tail, seen = browse(authenticated_server, query), []
    for number in range(30):
        authenticated_server.drain(batch(event(f"back {number}"))).raise_for_status()
        if number % 3 == 0:
            tail.messages(1)
            seen += [data["value"]["message"] for data in tail.data()]
            # Not closed: its network is gone, and the server does not know it yet.
            lost, tail = tail, browse(authenticated_server, query, **{"last-event-id": tail.id})
            assert tail.status == 200
            lost.to_the_end()
            lost.close()
    tail.messages(30 - len(seen))
    seen += [data["value"]["message"] for data in tail.data()]
    assert seen == [f"back {number}" for number in range(30)]
    tail.close()


def test_a_ticket_is_limited_as_its_token_is(authenticated_server: RunningServer) -> None:
    ticket = made(authenticated_server, token(authenticated_server, "mine", ["read"], ["mine"]))
    tail = browse(authenticated_server, f"?ticket={ticket}")
    authenticated_server.drain(batch(event("1", project="theirs"), event("2", project="mine"))).raise_for_status()
    assert [data["key"] for data in tail.messages(1)] == ["mine"]
    tail.close()


@pytest.mark.parametrize("query", ["?ticket=", "?ticket=x", f"?ticket={'x' * TICKET_CHARACTERS}", "?from=now"])
def test_a_wrong_ticket_opens_nothing(authenticated_server: RunningServer, query: str) -> None:
    tail = browse(authenticated_server, query)
    assert tail.status == 401
    tail.close()


def test_a_ticket_goes_before_a_header(authenticated_server: RunningServer) -> None:
    """Behind a proxy with Basic authentication a browser sends a header of its own."""
    for query, header, expected in (
        (f"?ticket={made(authenticated_server)}", "Basic eDp5", 200),
        ("?ticket=x", authenticated_server.headers["authorization"], 401),
        (f"?ticket={made(authenticated_server)}&ticket=x", authenticated_server.headers["authorization"], 400),
    ):
        tail = browse(authenticated_server, query, authorization=header)
        assert tail.status == expected, query
        tail.close()


def test_a_ticket_dies_with_its_token(authenticated_server: RunningServer) -> None:
    secret = token(authenticated_server, "passing", ["read"])
    ticket = made(authenticated_server, secret)
    TokenStore(authenticated_server.data_dir).revoke("passing")
    with authenticated_server.client() as client:
        wait_for("its end", lambda: client.get("/nothing", headers={"authorization": secret}).status_code == 401)
    tail = browse(authenticated_server, f"?ticket={ticket}")
    assert tail.status == 401
    tail.close()


def test_only_who_may_read_makes_one(authenticated_server: RunningServer) -> None:
    other = token(authenticated_server, "writer", ["ingest", "ops"])
    with authenticated_server.client() as client:
        refused = client.post("/api/ticket", headers={"authorization": other})
        assert refused.status_code == 403
        assert refused.json()["success"] is False
        assert client.post("/api/ticket", headers={"authorization": "none"}).status_code == 401
        assert client.post("/api/ticket?ticket=x").status_code == 400


def test_only_what_streams_takes_a_ticket(authenticated_server: RunningServer, table: list[Route]) -> None:
    ticket = made(authenticated_server)
    with authenticated_server.client() as client:
        for route in table:
            streams = route.upgrade is not None or any("event-stream" in row.media for row in route.responses.values())
            assert streams == (route.path in (TAIL, "/ws")), route.path
            assert (TICKET in route.parameters) == (streams or route.path == DOWNLOAD), route.path
            if TICKET in route.parameters:
                continue
            path = re.sub(r"\{\w+\}", "logs", route.path) + f"?ticket={ticket}"
            refused = client.request(route.method, path)
            assert refused.status_code == 400, route.path
            assert "'ticket'" in refused.text, route.path
            del client.headers["authorization"]
            assert client.request(route.method, path).status_code == (400 if route.role is Role.NONE else 401)
            client.headers.update(authenticated_server.headers)
    tail = browse(authenticated_server, f"?ticket={ticket}")
    assert tail.status == 200, "refusals of other routes have not used it"
    tail.close()


def test_it_is_described(authenticated_server: RunningServer) -> None:
    with authenticated_server.client() as client:
        document = client.get("/openapi.json").raise_for_status().json()
    assert document["paths"][TAIL]["get"]["security"] == [{"token": ["read"]}, {"ticket": ["read"]}]
    assert document["paths"]["/api/ticket"]["post"]["security"] == [{"token": ["read"]}]
    assert "429" in document["paths"]["/api/ticket"]["post"]["responses"]
    scheme = document["components"]["securitySchemes"]["ticket"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "query", "ticket")


@pytest.mark.slow
def test_it_works_without_authentication_and_is_not_logged(server: Start) -> None:
    running = server(log_level="debug")
    ticket = made(running)
    for query, expected in ((f"?ticket={ticket}", 200), (f"?ticket={ticket}&from=now", 401)):
        tail = browse(running, query)
        assert tail.status == expected
        tail.close()
    assert running.terminate() == 0
    assert running.log_lines()
    assert ticket not in running.data_dir.with_suffix(".log").read_text()
