"""The events API over HTTP."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from support.harness import RunningServer

EVENT = {
    "type": "user_action",
    "source": "web_app",
    "data": {"user_id": "12345", "action": "click", "page": "/dashboard", "metadata": {}},
    "timestamp": 1640995200000,
    "id": "optional-custom-id",
}
SEVERAL = [
    {"type": "user_action", "source": "web_app", "data": {"user_id": "12345", "action": "click"}},
    {"type": "page_view", "source": "web_app", "data": {"user_id": "12345", "page": "/home"}},
]
PLAIN = {"type": "a", "source": "s", "data": {}}
SINGLE, BATCH = "/api/events", "/api/events/batch"


def test_the_seeds_event_is_answered_in_its_shape_and_stored_as_sent(shared_server: RunningServer) -> None:
    answer = shared_server.post(SINGLE, EVENT)
    assert (answer.status_code, answer.headers["forebay-durability"]) == (200, "fsync")
    shape = answer.json()
    assert list(shape) == ["success", "eventId", "processingTime"]
    assert (shape["success"], shape["eventId"]) == (True, EVENT["id"])
    assert isinstance(shape["processingTime"], float)
    assert 0 < shape["processingTime"] < 20_000
    [record] = [record for record in shared_server.stored("events") if record["value"]["id"] == EVENT["id"]]
    assert (record["key"], record["value"]) == ("web_app", EVENT)
    assert record["timestamp"].startswith("2022-01-01T00:00:00")


def test_id_and_time_are_filled_in(shared_server: RunningServer) -> None:
    answer = shared_server.post(SINGLE, {**PLAIN, "extra": [1], "id": None})
    named = re.fullmatch(r"evt_([0-9]{13})_[0-9a-v]{20}", answer.json()["eventId"])
    assert named
    [record] = [record for record in shared_server.stored("events") if record["value"]["id"] == named[0]]
    assert record["value"] == {**PLAIN, "extra": [1], "id": named[0], "timestamp": int(named[1])}


def test_the_seeds_batch_is_answered_in_its_shape(shared_server: RunningServer) -> None:
    answer = shared_server.post(BATCH, SEVERAL)
    assert (answer.status_code, answer.headers["forebay-durability"]) == (200, "fsync")
    shape = answer.json()
    assert list(shape) == ["success", "processed", "failed", "totalProcessingTime", "errors"]
    assert isinstance(shape.pop("totalProcessingTime"), float)
    assert shape == {"success": True, "processed": 2, "failed": 0, "errors": []}


def test_bad_events_of_a_batch_are_named_by_index(shared_server: RunningServer) -> None:
    before = len(shared_server.stored("events"))
    answer = shared_server.post(BATCH, [PLAIN, {"type": "a"}, PLAIN, 7, {**PLAIN, "timestamp": "now"}])
    shape = answer.json()
    assert (answer.status_code, shape["success"], shape["processed"], shape["failed"]) == (200, False, 2, 3)
    assert shape["errors"] == [
        {"index": 1, "error": "source: missing"},
        {"index": 3, "error": "must be an object"},
        {"index": 4, "error": "timestamp: must be whole milliseconds since 1970 in the years 1 to 9999"},
    ]
    assert len(shared_server.stored("events")) == before + 2
    refused = shared_server.post(BATCH, [{}])
    shape = refused.json()
    assert (refused.status_code, shape["success"], shape["processed"], shape["failed"]) == (400, False, 0, 1)
    assert "type: missing" in shape["error"]
    assert "forebay-durability" not in refused.headers
    assert len(shared_server.stored("events")) == before + 2


@pytest.mark.parametrize(
    ("path", "body", "status", "place"),
    [
        (SINGLE, b"", 400, "the body"),
        (SINGLE, b"[" * 100_000, 400, "the body"),
        (SINGLE, {}, 400, "type: missing"),
        (SINGLE, [EVENT], 400, "the event must be an object"),
        (SINGLE, {**EVENT, "source": ""}, 400, "source: "),
        (SINGLE, {**EVENT, "data": []}, 400, "data: "),
        (SINGLE, {**EVENT, "id": "x" * 257}, 400, "id: "),
        (SINGLE, {**EVENT, "timestamp": 1e20}, 400, "timestamp: "),
        (SINGLE, {**EVENT, "x": "x" * (1 << 20)}, 413, "the event has "),
        (BATCH, EVENT, 400, "the body must be an array"),
        (BATCH, [], 400, "events: must not be empty"),
        (BATCH, [PLAIN] * 1001, 400, "events: more than 1000"),
        (BATCH, b'[{"type":"a","source":"s","data":{}},', 400, "the body"),
    ],
)
def test_what_is_wrong_is_refused_in_the_envelope(
    shared_server: RunningServer, path: str, body: object, status: int, place: str
) -> None:
    before = len(shared_server.stored("events"))
    answer = shared_server.post(path, body)
    assert (answer.status_code, answer.json()["success"]) == (status, False)
    assert list(answer.json()) == ["success", "error"]
    assert answer.json()["error"].startswith(place), answer.text
    assert len(shared_server.stored("events")) == before


def test_headers_are_those_of_an_ingest_route(shared_server: RunningServer) -> None:
    plain = json.dumps(SEVERAL).encode()
    assert shared_server.post(BATCH, gzip.compress(plain), content_encoding="gzip").json()["processed"] == 2
    assert shared_server.post(BATCH, plain, content_encoding="br").status_code == 415
    refused = shared_server.post(BATCH, SEVERAL, forebay_on_invalid="quarantine")
    assert (refused.status_code, "quarantine" in refused.json()["error"]) == (400, True)
    assert shared_server.post(SINGLE, EVENT, forebay_on_invalid="quarantine").status_code == 400
    with shared_server.client() as client:
        assert client.post(SINGLE + "?x=1", json=EVENT).status_code == 400
        assert client.get(SINGLE).status_code == 405


def test_a_repeat_is_given_the_same_answer(shared_server: RunningServer) -> None:
    before = len(shared_server.stored("events"))
    answers: list[dict[str, Any]] = []

    def send() -> None:
        answers.append(shared_server.post(SINGLE, PLAIN, idempotency_key="at-once").json())

    senders = [threading.Thread(target=send) for _ in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert len(answers) == 8
    [named] = {answer["eventId"] for answer in answers}
    assert [record["value"]["id"] for record in shared_server.stored("events")].count(named) == 1
    mixed = [PLAIN, {}, PLAIN]
    first, again = (shared_server.post(BATCH, mixed, idempotency_key="mixed") for _ in range(2))
    for answer in (first, again):
        shape = answer.json()
        assert (answer.status_code, shape["processed"], shape["failed"]) == (200, 2, 1)
    assert first.json()["errors"] == again.json()["errors"]
    assert len(shared_server.stored("events")) == before + 3
    other = shared_server.post(SINGLE, EVENT, idempotency_key="at-once")
    assert (other.status_code, other.json()["success"]) == (422, False)


@pytest.mark.slow
def test_events_are_there_after_a_kill(server: Callable[..., RunningServer]) -> None:
    running = server()
    named = [running.post(SINGLE, PLAIN).json()["eventId"] for _ in range(20)]
    assert running.post(BATCH, SEVERAL).status_code == 200
    running.kill()
    running = server()
    found = [record["value"]["id"] for record in running.stored("events")]
    assert set(named) <= set(found)
    assert len(found) == 22
