"""Only an acknowledgement passes for one; other answers leave a batch open or refuse it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from client.proxy import DURABLE, Answer, scripted
from forebay.client import Client
from forebay.client.results import Answer as Heard
from forebay.client.results import not_an_ack
from support.harness import RunningServer, wait_for

DRAIN = b'{"status":"accepted"}'
EVENTS = b'{"success":true,"processed":1,"failed":0,"totalProcessingTime":0.4,"errors":[]}'
PUBLISHED = b'{"batchId":"b","totalEvents":1,"successCount":1,"failureCount":0,"results":[{"partition":0}]}'

NOT_OURS = [
    Answer(200, b"{}"),
    Answer(200, b""),
    Answer(204, b""),
    Answer(200, b"[]"),
    Answer(200, b'{"message":"maintenance"}'),
    Answer(200, b'{"success":false}'),
    Answer(202, b'{"status":"ok"}'),
    Answer(200, b'{"results":[]}'),
    Answer(200, b'{"processed":true,"failed":false}'),
    Answer(200, b'{"quarantined":"x"}', DURABLE),
    Answer(200, b"<html>", DURABLE),
    Answer(304, b""),
    Answer(302, b"", {"Location": "https://login/"}),
]


KINDS: dict[str, Callable[[Client], bool]] = {
    "log": lambda client: client.log("a"),
    "publish": lambda client: client.publish("orders", 1),
    "event": lambda client: client.event("a", "b", {}),
    "track": lambda client: client.track("view"),
}


@pytest.mark.parametrize(
    ("kind", "answer"), [("log", answer) for answer in NOT_OURS] + [(kind, NOT_OURS[0]) for kind in KINDS]
)
def test_what_is_not_a_forebay_server_s_leaves_events_pending(kind: str, answer: Answer) -> None:
    with scripted(lambda _: answer) as server:
        client = Client(server.url, linger_seconds=0)
        KINDS[kind](client)
        wait_for("another try", lambda: len(server.seen) > 1)
        stats = client.stats()
        assert (stats.pending, stats.delivered, stats.rejected) == (1, 0, 0)
        assert stats.last_error.startswith(f"{answer.status}: ")
        client.close(0)


@pytest.mark.parametrize("body", [DRAIN, EVENTS, PUBLISHED])
def test_a_body_of_ours_is_enough_where_headers_are_dropped(body: bytes) -> None:
    assert not_an_ack(Heard(200, None, body)) == ""


@pytest.mark.parametrize("body", [b"{}", DRAIN])
def test_the_header_is_enough(body: bytes) -> None:
    assert not_an_ack(Heard(202, None, body, None, "fsync")) == ""


def test_every_kind_is_acknowledged_with_the_header(shared_server: RunningServer) -> None:
    """By the front, and by Python, which the front leaves chunked bodies to."""
    with shared_server.client() as http:
        http.post("/api/v1/streams", json={"name": "orders"})
        log = {"project_id": "p", "timestamp": "2024-01-01", "level": "a", "service": "s", "message": "m"}
        bodies: dict[str, Any] = {
            "/v1/drain": {"events": [log]},
            "/v1/analytics/track/batch": [{"event": {"type": "view"}}],
            "/api/events/batch": [{"type": "a", "source": "b", "data": {}}],
            "/api/v1/streams/orders/events/batch": {"events": [{"value": 1}]},
        }
        for path, body in bodies.items():
            sent = http.post(path, json=body)
            assert sent.headers["forebay-durability"], path
            chunked = http.post(path, content=iter([sent.request.content]))
            assert (chunked.status_code, bool(chunked.headers["forebay-durability"])) == (sent.status_code, True), path
            for answer in (sent, chunked):
                assert not_an_ack(Heard(answer.status_code, None, answer.content)) == "", "its body alone is enough"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://logs.example/base/v1/drain", "make the client's url https://logs.example/base"),
        ("/login", "redirects to /login, which is not followed; check the client's url"),
        ("", "check the client's url"),
    ],
)
def test_a_redirection_is_tried_again_and_says_where_to(status: int, location: str, said: str) -> None:
    headers = {"Location": location} if location else {}
    with scripted(lambda _: Answer(status, b"moved", headers)) as server:
        client = Client(server.url, "secret", linger_seconds=0)
        client.log("a")
        wait_for("two tries", lambda: len(server.seen) > 1)
        stats = client.stats()
        assert stats.last_error.startswith(f"{status}: ")
        assert stats.last_error.endswith(said)
        assert (stats.pending, stats.rejected) == (1, 0)
        server.answer = acknowledges
        assert client.flush() == 0
        assert client.stats().delivered == 1
        client.close()


def acknowledges(_: Any) -> Answer:
    return Answer(202, DRAIN, DURABLE)


def test_a_server_that_comes_back_is_found() -> None:
    """A maintenance page that answers 200 in its place takes no event."""
    with scripted(lambda _: Answer(200, b'{"message":"maintenance"}')) as server, Client(server.url) as client:
        client.log("a")
        wait_for("a try", lambda: bool(server.seen))
        server.answer = acknowledges
        assert client.flush() == 0
        assert client.stats().delivered == 1
