"""The analytics API over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from harness import RunningServer

EVENT = {
    "event": {"type": "page_view"},
    "user": {"id": "user-123"},
    "device": {"user_agent": "Mozilla/5.0", "screen_width": 1920, "screen_height": 1080},
    "context": {"url": "https://example.com", "session_id": "sess-abc"},
    "metrics": {"load_time": 250},
}
SINGLE, BATCH = "/v1/analytics/track", "/v1/analytics/track/batch"


def post(server: RunningServer, path: str, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with server.client() as client:
        return client.post(
            path, content=content, headers={key.replace("_", "-"): value for key, value in headers.items()}
        )


def stored(server: RunningServer) -> list[dict[str, Any]]:
    with server.client() as client:
        if client.get("/api/v1/streams/analytics").status_code == 404:
            return []
    return server.records("analytics")


def test_the_seeds_event_is_accepted_and_stored_as_sent(shared_server: RunningServer) -> None:
    answer = post(shared_server, SINGLE, EVENT)
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert answer.headers["forebay-durability"] == "fsync"
    record = stored(shared_server)[-1]
    assert (record["key"], record["value"]) == ("user-123", EVENT)


def test_a_batch_is_whole_or_nothing(shared_server: RunningServer) -> None:
    before = len(stored(shared_server))
    assert post(shared_server, BATCH, [EVENT] * 1000).status_code == 202
    refused = post(shared_server, BATCH, [EVENT, {**EVENT, "event": {}}, EVENT])
    wanted = {"error": "events[1].event.type: missing", "code": "malformed_request"}
    assert (refused.status_code, refused.json()) == (400, wanted)
    assert len(stored(shared_server)) == before + 1000


@pytest.mark.parametrize(
    ("path", "body", "status", "place"),
    [
        (SINGLE, b"", 400, "the body"),
        (SINGLE, [EVENT], 400, "the event must be an object"),
        (SINGLE, {**EVENT, "user": {"id": 7}}, 400, "user.id: must be a string"),
        (SINGLE, {**EVENT, "device": {"screen_width": "7"}}, 400, "device.screen_width: must be a whole number"),
        (SINGLE, {**EVENT, "timestamp": "soon"}, 400, "timestamp: "),
        (SINGLE, {**EVENT, "x": "x" * (1 << 20)}, 413, "the event has "),
        (BATCH, EVENT, 400, "the body must be an array"),
        (BATCH, [], 400, "events: must not be empty"),
        (BATCH, [EVENT] * 1001, 400, "events: more than 1000"),
    ],
)
def test_what_is_wrong_is_refused_in_the_envelope(
    shared_server: RunningServer, path: str, body: object, status: int, place: str
) -> None:
    before = len(stored(shared_server))
    answer = post(shared_server, path, body)
    assert (answer.status_code, list(answer.json())) == (status, ["error", "code"])
    assert answer.json()["error"].startswith(place), answer.text
    assert len(stored(shared_server)) == before


def test_a_repeat_is_stored_once_and_bad_events_may_be_put_aside(shared_server: RunningServer) -> None:
    before = len(stored(shared_server))
    answers = [post(shared_server, SINGLE, EVENT, idempotency_key="k") for _ in range(3)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, '{"status":"accepted"}')}
    put_aside = post(shared_server, BATCH, [EVENT, {}], forebay_on_invalid="quarantine")
    assert (put_aside.status_code, put_aside.json()) == (202, {"status": "accepted", "quarantined": 1})
    assert len(stored(shared_server)) == before + 2
    rejected = shared_server.records("analytics.rejected")[-1]["value"]
    assert rejected == {"index": 1, "reason": "event: missing", "event": {}}


def test_events_are_there_after_a_kill(server: Callable[..., RunningServer]) -> None:
    running = server()
    for _ in range(10):
        assert post(running, SINGLE, EVENT).status_code == 202
    running.kill()
    assert len(stored(server())) == 10
