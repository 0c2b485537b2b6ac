"""The analytics API over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.harness import RunningServer

EVENT = {
    "event": {"type": "page_view"},
    "user": {"id": "user-123"},
    "device": {"user_agent": "Mozilla/5.0", "screen_width": 1920, "screen_height": 1080},
    "context": {"url": "https://example.com", "session_id": "sess-abc"},
    "metrics": {"load_time": 250},
}
SINGLE, BATCH = "/v1/analytics/track", "/v1/analytics/track/batch"


def test_the_seeds_event_is_accepted_and_stored_as_sent(shared_server: RunningServer) -> None:
    answer = shared_server.post(SINGLE, EVENT)
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert answer.headers["forebay-durability"] == "fsync"
    record = shared_server.stored("analytics")[-1]
    assert (record["key"], record["value"]) == ("user-123", EVENT)


def test_a_batch_is_whole_or_nothing(shared_server: RunningServer) -> None:
    before = len(shared_server.stored("analytics"))
    assert shared_server.post(BATCH, [EVENT] * 1000).status_code == 202
    refused = shared_server.post(BATCH, [EVENT, {**EVENT, "event": {}}, EVENT])
    wanted = {"error": "events[1].event.type: missing", "code": "malformed_request"}
    assert (refused.status_code, refused.json()) == (400, wanted)
    assert len(shared_server.stored("analytics")) == before + 1000


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
    before = len(shared_server.stored("analytics"))
    answer = shared_server.post(path, body)
    assert (answer.status_code, list(answer.json())) == (status, ["error", "code"])
    assert answer.json()["error"].startswith(place), answer.text
    assert len(shared_server.stored("analytics")) == before


def test_a_repeat_is_stored_once_and_bad_events_may_be_put_aside(shared_server: RunningServer) -> None:
    before = len(shared_server.stored("analytics"))
    answers = [shared_server.post(SINGLE, EVENT, idempotency_key="k") for _ in range(3)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, '{"status":"accepted"}')}
    put_aside = shared_server.post(BATCH, [EVENT, {}], forebay_on_invalid="quarantine")
    named = [{"index": 1, "error": "events[1].event: missing"}]
    assert put_aside.json() == {"status": "accepted", "quarantined": 1, "errors": named}
    assert put_aside.status_code == 202
    alone = shared_server.post(SINGLE, {}, forebay_on_invalid="quarantine")
    assert alone.json()["errors"] == [{"index": 0, "error": "event: missing"}]
    assert len(shared_server.stored("analytics")) == before + 2
    rejected = [record["value"] for record in shared_server.records("analytics.rejected")]
    assert {"index": 1, "reason": "event: missing", "event": {}} in rejected


@pytest.mark.slow
def test_events_are_there_after_a_kill(server: Callable[..., RunningServer]) -> None:
    running = server()
    for _ in range(10):
        assert running.post(SINGLE, EVENT).status_code == 202
    running.kill()
    assert len(server().stored("analytics")) == 10
