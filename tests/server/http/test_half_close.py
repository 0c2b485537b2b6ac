"""A client that shuts its sending side behind a whole request gets its answer, on both ways."""

from __future__ import annotations

import json
import re
import socket
import threading
import time

import pytest

from support.harness import RunningServer, batch, event, wait_for

BODY = batch(event("half"))
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

REQUESTS = {
    "front": b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    "chunked": b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "HTTP/1.0": b"POST /v1/drain HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    "h2c": b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
    "metrics": b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "openapi": b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n",
    "head": b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "two": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
}

POLL = b"GET /api/v1/streams/polled/events?consumerGroup=%s&offset=latest&timeout=%d HTTP/1.1\r\nHost: x\r\n\r\n"


def asked(running: RunningServer, request: bytes) -> tuple[bytes, float]:
    """Returns the bytes that come until the end, and when that was."""
    with running.connect() as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        began, received = time.monotonic(), b""
        while piece := connection.recv(65536):
            received += piece
        return received, time.monotonic() - began


@pytest.mark.parametrize("name", REQUESTS)
def test_a_whole_request_is_answered_and_the_connection_ends(shared_server: RunningServer, name: str) -> None:
    received, _took = asked(shared_server, REQUESTS[name])
    statuses = re.findall(rb"HTTP/1\.[01] (\d+) ", received)
    expected = b"202" if BODY in REQUESTS[name] else b"200"
    assert statuses == [expected] * (2 if name == "two" else 1), received[:500]
    head, _, body = received.partition(b"\r\n\r\n")
    if name in ("metrics", "openapi"):
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        assert len(body) == int(length.split(b":")[1]), "all of it came"


def test_a_long_poll_is_answered(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        assert client.post("/api/v1/streams", json={"name": "polled"}).status_code in (201, 409)
    received, _took = asked(shared_server, POLL % (b"nothing", 700))
    assert b" 200 " in received.split(b"\r\n")[0]
    assert json.loads(received.partition(b"\r\n\r\n")[2])["events"] == []

    answers: list[bytes] = []
    waiting = threading.Thread(target=lambda: answers.append(asked(shared_server, POLL % (b"some", 20_000))[0]))
    waiting.start()

    def published() -> bool:
        shared_server.post("/api/v1/streams/polled/events", {"value": 1})
        return bool(answers)

    wait_for("the poll's answer", published)
    waiting.join()
    assert len(json.loads(answers[0].partition(b"\r\n\r\n")[2])["events"]) >= 1


def test_a_poll_that_commits_for_its_reader_ends_with_it(shared_server: RunningServer) -> None:
    """One that is gone sends no more either: it is not given records that its group would then never see again."""
    with shared_server.client() as client:
        assert client.post("/api/v1/streams", json={"name": "committed"}).status_code in (201, 409)
    poll = POLL.replace(b"polled", b"committed").replace(b"&offset=latest", b"&autoCommit=true")
    received, _took = asked(shared_server, poll % (b"gone", 30_000))
    assert received == b""
    shared_server.post("/api/v1/streams/committed/events", {"value": 1})
    received, _took = asked(
        shared_server, (POLL.replace(b"polled", b"committed") % (b"gone", 0)).replace(b"latest", b"earliest")
    )
    assert len(json.loads(received.partition(b"\r\n\r\n")[2])["events"]) == 1


@pytest.mark.parametrize("name", ["front", "chunked", "metrics"])
def test_half_a_request_is_none(shared_server: RunningServer, name: str) -> None:
    received, _took = asked(shared_server, REQUESTS[name][:-1])
    assert not received or received.split()[1] == b"400", received


@pytest.mark.slow
def test_a_tail_whose_reader_sends_no_more_ends(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        assert client.post("/api/v1/streams", json={"name": "tailed"}).status_code in (201, 409)
    received, _took = asked(shared_server, b"GET /api/v1/streams/tailed/tail HTTP/1.1\r\nHost: x\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200")
