"""`GET /ws` on a real server: with a client library, and with clients that no library is."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets.exceptions
from websockets.sync.client import ClientConnection, connect

from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, resident_bytes, wait_for
from support.raw_websocket import BINARY, CLOSE, PING, PONG, TEXT, Raw, frame

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]
Opened = Callable[..., ClientConnection]

METRICS = {"timestamp", "throughput", "latency", "errors", "system", "health"}


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens sockets with the library; they are closed after the test."""
    there: list[ClientConnection] = []

    def start(server: RunningServer, query: str = "", **headers: str) -> ClientConnection:
        url = server.url.replace("http://", "ws://") + "/ws" + query
        there.append(connect(url, additional_headers={**server.headers, **headers}, proxy=None))
        return there[-1]

    yield start
    for one in there:
        one.close()


def message(socket: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(socket.recv(timeout=20))
    return found


def count(server: RunningServer) -> int:
    with server.client() as client:
        text = client.get("/metrics").raise_for_status().text
    found = re.search(r"^forebay_http_websockets (\d+)", text, re.MULTILINE)
    assert found
    return int(found[1])


def close_code(socket: ClientConnection) -> int | None:
    deadline = time.monotonic() + 20
    try:
        while time.monotonic() < deadline:
            socket.recv(timeout=20)
        raise AssertionError("it was not closed")
    except websockets.exceptions.ConnectionClosed as ended:
        return None if ended.rcvd is None else ended.rcvd.code


def test_it_is_sent_the_metrics_at_once_and_every_second(shared_server: RunningServer, opened: Opened) -> None:
    began = time.monotonic()
    socket = opened(shared_server)
    first = message(socket)
    assert time.monotonic() - began < 5
    assert set(first) == {"type", "data", "timestamp"}
    assert first["type"] == "metrics"
    assert abs(first["timestamp"] - time.time() * 1000) < 5000
    with shared_server.client() as client:
        metrics = client.get("/api/metrics").json()
    assert set(first["data"]) == set(metrics) == METRICS
    times = [message(socket)["timestamp"] for _ in range(4)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(200 < gap < 3000 for gap in gaps), gaps
    assert first["data"]["health"]["status"] in ("healthy", "degraded", "unhealthy")


def test_what_one_sees_is_what_all_see(shared_server: RunningServer, opened: Opened) -> None:
    sockets = [opened(shared_server) for _ in range(10)]
    for one in sockets:
        message(one)
    assert len({one.recv(timeout=20) for one in sockets}) <= 2, "each was written for itself"
    assert count(shared_server) == 10


def test_pings_are_answered_and_texts_ignored(shared_server: RunningServer, opened: Opened) -> None:
    socket = opened(shared_server)
    assert socket.ping().wait(10)
    socket.send("hello")
    socket.send('{"type":"subscribe"}')
    for _ in range(2):
        assert message(socket)["type"] == "metrics"


def test_a_client_that_closes_is_forgotten(shared_server: RunningServer, opened: Opened) -> None:
    before = count(shared_server)
    socket = opened(shared_server)
    message(socket)
    socket.close(1000)
    assert socket.close_code == 1000
    wait_for("its end", lambda: count(shared_server) == before)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(BINARY, b"\0\1\2"), 1003),
        (frame(TEXT, b"x" * 5000), 1009),
        (frame(TEXT, b"\xff\xfe"), 1002),
        (frame(3, b"unknown"), 1002),
        (frame(TEXT, b"unmasked", masked=False), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(0, b"continues nothing"), 1002),
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 1002),
        (b"\xff" * 100, 1002),
    ],
    ids=["binary", "long", "not UTF-8", "opcode", "unmasked", "long ping", "continuation", "HTTP", "ones"],
)
def test_garbage_ends_its_own_connection_alone(
    shared_server: RunningServer, opened: Opened, sent: bytes, code: int
) -> None:
    other = opened(shared_server)
    raw = Raw(shared_server).opened()
    raw.until(TEXT)
    raw.connection.sendall(sent)
    assert raw.close_code() == code
    wait_for("the connection's end", raw.broken)
    raw.close()
    assert message(other)["type"] == "metrics"
    assert not [line for line in shared_server.log_lines() if line["level"] in ("error", "critical")]
    assert "Traceback" not in shared_server.log_path.read_text()


def test_a_flood_ends_its_connection_and_costs_little_memory(server: Start) -> None:
    running = server()
    before = resident_bytes(running.pid)
    raw = Raw(running).opened()
    # One message in frames of 1 MiB, which never ends, and is less than what Granian takes.
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        raw.send(TEXT, b"x" * (1 << 20), last=False)
        for _ in range(9):
            raw.send(0, b"x" * (1 << 20), last=False)
    wait_for("the connection's end", raw.broken)
    wait_for("its end", lambda: count(running) == 0)
    assert resident_bytes(running.pid) - before < 150 << 20
    raw.close()


def test_clients_that_never_read_or_vanish_are_cut_off(server: Start, opened: Opened) -> None:
    running = server(websocket_ping_seconds=1)
    reads = opened(running)
    raws = [Raw(running).opened() for _ in range(5)]
    wait_for("all of them", lambda: count(running) == 6)
    wait_for("their end", lambda: all(raw.broken() for raw in raws))
    wait_for("the server's part of it", lambda: count(running) == 1)
    assert message(reads)["type"] == "metrics", "one that answers pings stays"
    for raw in raws:
        raw.close()


def test_clients_that_break_off_are_forgotten(shared_server: RunningServer) -> None:
    before = count(shared_server)
    for linger in (True, False):
        raw = Raw(shared_server).opened()
        if linger:
            # A reset instead of a FIN.
            raw.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
    # One that goes before it has the answer.
    Raw(shared_server).close()
    wait_for("their end", lambda: count(shared_server) == before)


def test_a_pong_nobody_asked_for_is_no_harm(shared_server: RunningServer) -> None:
    raw = Raw(shared_server).opened()
    raw.send(PONG, b"unasked")
    raw.send(PING, b"asked")
    assert raw.until(PONG) == b"asked"
    raw.send(CLOSE, struct.pack("!H", 1000))
    assert raw.close_code() == 1000
    raw.close()


def test_there_are_at_most_so_many(server: Start, opened: Opened) -> None:
    running = server(max_websockets=2)
    first, _second = opened(running), opened(running)
    raw = Raw(running)
    status, headers, body = raw.refusal()
    assert (status, headers["retry-after"]) == (429, "1")
    assert json.loads(body)["code"] == "backpressure_triggered"
    raw.close()
    first.close()
    wait_for("room", lambda: count(running) == 1)
    opened(running)


def test_a_stop_closes_with_1001(server: Start, opened: Opened) -> None:
    running = server()
    sockets = [opened(running) for _ in range(20)]
    for one in sockets:
        message(one)
    stands_still = Raw(running).opened()
    running.signal(signal.SIGTERM)
    assert {close_code(one) for one in sockets} == {1001}
    assert running.wait() == 0
    stands_still.close()
    assert_nothing_was_under_way(running)


def test_a_stop_ends_upgrades_that_are_under_way(server: Start) -> None:
    """A gateway that stops under a WebSocket leaves it open: the server would wait for it until its time is up."""
    for asked in range(1, 9):
        running = server(directory=f"stopped-{asked}")
        raws = [Raw(running) for _ in range(asked)]
        raws[0].opened()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        for one in raws:
            one.close()
        assert_nothing_was_under_way(running)


def test_clients_that_come_and_go_stay_within_the_connections(server: Start) -> None:
    """One that is gone holds its place until the gateway has noticed; each takes three descriptors."""
    running = server(max_connections=16)
    descriptors = Path(f"/proc/{running.pid}/fd")
    before = most = len(list(descriptors.iterdir()))
    for number in range(600):
        Raw(running).close()
        if number % 10 == 0:
            most = max(most, len(list(descriptors.iterdir())))
    assert most <= before + 3 * 16 + 8
    wait_for("their ends", lambda: count(running) == 0)
    wait_for("their descriptors", lambda: len(list(descriptors.iterdir())) <= before + 8)


def assert_nothing_was_under_way(stopped: RunningServer) -> None:
    log = stopped.log_path.read_text()
    assert "still under way" not in log
    assert "Traceback" not in log


def test_it_needs_a_token_that_may_read(server: Start, opened: Opened) -> None:
    running = server(auth=True)
    writer = TokenStore(running.data_dir).create("writer", ["ingest", "ops"])
    with running.client() as client:
        wait_for("it", lambda: client.get("/nothing", headers={"authorization": writer}).status_code == 404)
    for given, expected in (("", 401), ("Bearer none", 401), (writer, 403)):
        raw = Raw(running, authorization=given)
        status, headers, body = raw.refusal()
        assert status == expected
        assert set(json.loads(body)) == {"error", "code"}
        assert ("www-authenticate" in headers) == (expected == 401)
        raw.close()
    assert message(opened(running))["type"] == "metrics"


def test_a_ticket_opens_one(server: Start, opened: Opened) -> None:
    running = server(auth=True)
    with running.client() as client:
        ticket = client.post("/api/ticket").raise_for_status().json()["ticket"]
    assert message(opened(running, f"?ticket={ticket}", authorization=""))["type"] == "metrics"
    for query in (f"?ticket={ticket}", "?ticket=x"):
        raw = Raw(running, f"/ws{query}", authorization="")
        assert raw.refusal()[0] == 401
        raw.close()


def test_a_revoked_token_loses_its_socket(server: Start, opened: Opened) -> None:
    running = server(auth=True, websocket_ping_seconds=1)
    reader = TokenStore(running.data_dir).create("reader", ["read"])
    with running.client() as client:
        wait_for("it", lambda: client.get("/nothing", headers={"authorization": reader}).status_code == 404)
    socket, other = opened(running, authorization=reader), opened(running)
    TokenStore(running.data_dir).revoke("reader")
    assert close_code(socket) == 1008
    assert message(other)["type"] == "metrics"


def test_pages_from_elsewhere_may_not_connect(server: Start, opened: Opened) -> None:
    running = server(websocket_origins="https://dash.example, http://other.example:81")
    for origin in (running.url, "https://dash.example", "http://other.example:81"):
        assert message(opened(running, Origin=origin))["type"] == "metrics"
    for origin in ("http://evil.example", "null", "http://dash.example"):
        raw = Raw(running, origin=origin)
        status, _headers, body = raw.refusal()
        assert (status, json.loads(body)["code"]) == (403, "forbidden")
        raw.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/api/metrics", 400), ("/v1/drain", 405), ("/ws?x=1", 400), ("/ws?ticket=", 401)],
)
def test_upgrades_elsewhere_are_refused_in_the_routes_own_envelope(
    server: Start, shared_server: RunningServer, path: str, status: int
) -> None:
    raw = Raw(shared_server, path)
    found, headers, body = raw.refusal()
    assert (found, headers["content-type"]) == (status, "application/json")
    assert "error" in json.loads(body)
    raw.close()


def test_an_upgrade_is_asked_for_with_get(shared_server: RunningServer) -> None:
    connection = shared_server.connect()
    rows = (
        "host: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: x\r\n"
    )
    connection.sendall(f"POST /v1/drain HTTP/1.1\r\n{rows}content-length: 0\r\n\r\n".encode())
    assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
    connection.close()
    for missing in ("sec_websocket_key", "sec_websocket_version"):
        raw = Raw(shared_server, **{missing: ""}, **{missing.replace("_", "-"): ""})
        assert raw.connection.recv(65536).startswith(b"HTTP/1.1 400 ")
        raw.close()
    with shared_server.client() as client:
        plain = client.get("/ws")
    assert (plain.status_code, plain.json()["code"]) == (400, "invalid_request")


def test_it_is_described(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        document = client.get("/openapi.json").json()
    row = document["paths"]["/ws"]["get"]
    assert "content" not in row["responses"]["101"]
    assert '"type":"metrics"' in row["responses"]["101"]["description"]
    assert row["security"] == [{"token": ["read"]}, {"ticket": ["read"]}]


def test_a_thousand_clients(server: Start) -> None:
    running = server(max_websockets=1000)
    raws = [Raw(running).opened() for _ in range(1000)]
    assert count(running) == 1000
    deadline = time.monotonic() + 30
    for raw in raws:
        for _ in range(3):
            raw.until(TEXT)
    assert time.monotonic() < deadline
    refused = Raw(running)
    assert refused.refusal()[0] == 429
    refused.close()
    for raw in raws:
        raw.close()
    wait_for("their end", lambda: count(running) == 0)
