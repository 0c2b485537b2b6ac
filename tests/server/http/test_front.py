"""The front and the server behind it: two ways of a request, one set of rules."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forebay.server.api.ingest.drain import MAX_NAMED
from forebay.server.http.router import Role, Route
from support.harness import RunningServer, answer

Start = Callable[..., RunningServer]

LOG = {"project_id": "p", "timestamp": "2026-01-01T00:00:00Z", "level": "info", "service": "s", "message": "m"}
EVENT = {"type": "user_action", "source": "web_app", "data": {"a": 1}, "id": "one", "timestamp": 1_640_995_200_000}
VISIT = {"event": {"type": "page_view"}, "user": {"id": "u"}}

DRAIN, EVENTS, TRACK = "/v1/drain", "/api/events", "/v1/analytics/track"
STREAM = "/api/v1/streams/both/events"

BODIES: list[tuple[str, Any]] = [
    (DRAIN, {"events": [LOG]}),
    (DRAIN, {"events": []}),
    (DRAIN, {"events": [LOG | {"level": 1}]}),
    (EVENTS, EVENT),
    (EVENTS, EVENT | {"data": 1}),
    (EVENTS, []),
    (EVENTS + "/batch", [EVENT, {}]),
    (EVENTS + "/batch", [{}]),
    (EVENTS + "/batch", EVENT),
    (TRACK, VISIT),
    (TRACK, VISIT | {"user": 1}),
    (TRACK + "/batch", [VISIT, VISIT]),
    (TRACK + "/batch", [VISIT, {}]),
    (STREAM, {"value": 1, "key": "k"}),
    (STREAM, {"value": 1, "partition": 9}),
    (STREAM + "/batch", {"events": [{"value": 1}, {"nothing": 1}]}),
    (STREAM + "/batch", {"events": [{}]}),
    ("/api/v1/streams/none/events", {"value": 1}),
    ("/api/v1/streams/logs/events", {"value": 1}),
]

CHANGING = re.compile(rb'"(eventId|batchId|timestamp)":"[^"]*"|"(offset|processingTime|totalProcessingTime)":[0-9.e-]+')
"""The values that differ from answer to answer."""


def plain(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def asked(running: RunningServer, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with running.connect() as connection:
        connection.sendall(request)
        status, headers, body = answer(connection)
    del headers["date"]
    headers.pop("content-length")
    return status, headers, CHANGING.sub(b"", body)


@pytest.fixture
def both(shared_server: RunningServer) -> RunningServer:
    with shared_server.client() as client:
        made = client.post("/api/v1/streams", json={"name": "both"})
    assert made.status_code in (201, 409)
    return shared_server


@pytest.mark.parametrize(("path", "body"), BODIES, ids=[f"{path} {json.dumps(body)[:40]}" for path, body in BODIES])
def test_both_ways_answer_alike(both: RunningServer, path: str, body: Any) -> None:
    text = json.dumps(body).encode()
    front, behind = asked(both, plain(path, text)), asked(both, chunked(path, text))
    assert front == behind
    assert front[1]["server"] == "forebay"


@pytest.mark.parametrize("path", [DRAIN, EVENTS, TRACK, STREAM, STREAM + "/batch"])
@pytest.mark.parametrize(
    "header",
    [
        "Idempotency-Key: " + "k" * 129,
        "Forebay-On-Invalid: maybe",
        "Forebay-On-Invalid: quarantine",
        "Content-Encoding: br",
        "Content-Encoding: gzip",
        "X-Other: " + "x" * 20_000,
    ],
)
def test_headers_mean_the_same_on_both(both: RunningServer, path: str, header: str) -> None:
    body = {DRAIN: {"events": [LOG]}, EVENTS: EVENT, TRACK: VISIT, STREAM: {"value": 1}}.get(
        path, {"events": [{"value": 1}]}
    )
    text = json.dumps(body).encode()
    assert asked(both, plain(path, text, header)) == asked(both, chunked(path, text, header))


@pytest.mark.parametrize("way", [plain, chunked])
def test_http_1_1_asks_for_a_host(both: RunningServer, way: Callable[..., bytes]) -> None:
    request = way(DRAIN, json.dumps({"events": [LOG]}).encode()).replace(b"Host: x\r\n", b"")
    status, _headers, body = asked(both, request)
    assert (status, json.loads(body)["error"]) == (400, "the request has no Host header")


@pytest.mark.parametrize(
    ("path", "body", "bad"),
    [
        (DRAIN, {"events": [LOG, LOG | {"level": 1}, 7, LOG]}, [1, 2]),
        (DRAIN, {"events": [LOG]}, []),
        (DRAIN, {"events": [0] * (MAX_NAMED + 1)}, list(range(MAX_NAMED + 1))),
        (DRAIN, {"events": []}, None),
        (TRACK, VISIT, []),
        (TRACK, VISIT | {"user": 1}, [0]),
        (TRACK + "/batch", [{}, VISIT, {}], [0, 2]),
        (TRACK + "/batch", [VISIT], []),
    ],
)
def test_what_is_put_aside_is_named_alike_on_both(
    both: RunningServer, path: str, body: Any, bad: list[int] | None
) -> None:
    text = json.dumps(body).encode()
    key = f"Idempotency-Key: aside-{path}-{bad and len(bad)}"
    asking = "Forebay-On-Invalid: quarantine"
    answers = [asked(both, way(path, text, asking)) for way in (plain, chunked)]
    # Three times under one key: each way answers as the first did, that of the other way too.
    answers += [asked(both, way(path, text, asking, key)) for way in (plain, chunked, plain)]
    status, _, first = answers[0]
    assert all(answer == answers[0] for answer in answers)
    found = json.loads(first)
    if bad is None:
        assert (status, found["code"]) == (400, "malformed_request")
        return
    assert (status, found["status"], found["quarantined"]) == (202, "accepted", len(bad))
    assert [row["index"] for row in found.get("errors", [])] == bad[:MAX_NAMED]
    assert ("errors" in found) == bool(bad)


def test_a_key_is_the_same_on_both(both: RunningServer) -> None:
    text = json.dumps({"value": "only once"}).encode()
    answers = []
    for way in (plain, chunked, plain):
        with both.connect() as connection:
            connection.sendall(way(STREAM, text, "Idempotency-Key: both-ways"))
            answers.append(answer(connection)[2])
    assert answers[0] == answers[1] == answers[2]


def test_one_connection_may_change_its_way_once(both: RunningServer) -> None:
    text = json.dumps({"events": [LOG]}).encode()
    health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with both.connect() as connection:
        for request, status in ((plain(DRAIN, text), 202), (health, 200), (plain(DRAIN, text), 202)):
            for _ in range(2):
                # One at a time: whoever reads an answer reads ahead.
                connection.sendall(request)
                assert answer(connection)[0] == status


def test_every_ingest_route_is_read_by_the_front(both: RunningServer, table: list[Route]) -> None:
    routes = [route for route in table if route.role is Role.INGEST]
    assert len(routes) > 5
    for route in routes:
        with both.connect() as connection, both.client() as client:
            connection.sendall(plain(route.path.replace("{name}", "both"), b"{"))
            assert answer(connection)[0] == 400
            assert 'forebay_http_connections{served_by="front"} 1.0' in client.get("/metrics").text, route.path


@pytest.mark.slow
def test_the_port_behind_is_on_loopback_alone(server: Start) -> None:
    """Whoever listens on all addresses does not thereby show the port behind on all of them."""
    running = server("--host", "0.0.0.0", "--insecure")
    sockets = {os.readlink(entry)[8:-1] for entry in Path(f"/proc/{running.pid}/fd").iterdir() if is_socket(entry)}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and row[9] in sockets]
    addresses = sorted(socket.inet_ntoa(bytes.fromhex(row.partition(":")[0])[::-1]) for row in listening)
    assert addresses == ["0.0.0.0", "127.0.0.1"]


def is_socket(entry: Path) -> bool:
    try:
        return os.readlink(entry).startswith("socket:[")
    except OSError:
        return False
