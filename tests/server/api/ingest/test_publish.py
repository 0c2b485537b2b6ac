"""Publishing over HTTP."""

from __future__ import annotations

import gzip
import json
import re
import threading
import zlib

import httpx
import pytest

from support.harness import RunningServer

NAME = "user-events"
EVENTS = f"/api/v1/streams/{NAME}/events"
BATCH = f"{EVENTS}/batch"

SINGLE = {
    "key": "user-123",
    "value": {
        "eventType": "user-action",
        "timestamp": "2025-01-15T10:30:00Z",
        "data": {"action": "click", "element": "checkout-button"},
    },
    "headers": {"correlationId": "abc-123", "source": "web-app"},
    "partitionKey": "user-123",
}
SEVERAL = {
    "events": [
        {"key": "user-123", "value": {"eventType": "login", "userId": "123"}},
        {"key": "user-456", "value": {"eventType": "purchase", "amount": 99.99}},
    ],
    "options": {"compression": "gzip", "timeout": 5000},
}


@pytest.fixture(scope="module")
def shared(shared_server: RunningServer) -> RunningServer:
    with shared_server.client() as client:
        body = {"name": NAME, "partitions": 10, "config": {"maxMessageBytes": 1000}}
        client.post("/api/v1/streams", json=body).raise_for_status()
    return shared_server


def post(server: RunningServer, path: str, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with server.client() as client:
        return client.post(
            path, content=content, headers={key.replace("_", "-"): value for key, value in headers.items()}
        )


def total(server: RunningServer) -> int:
    with server.client() as client:
        return int(client.get(f"/api/v1/streams/{NAME}").json()["totalMessages"])


def test_the_seeds_event_is_answered_in_its_shape(shared: RunningServer) -> None:
    answer = post(shared, EVENTS, SINGLE)
    assert (answer.status_code, answer.headers["forebay-durability"]) == (201, "fsync")
    shape = answer.json()
    assert list(shape) == ["eventId", "partition", "offset", "timestamp", "status"]
    assert re.fullmatch(rf"evt_[0-9]+_{shape['partition']}_{shape['offset']}", shape["eventId"])
    assert re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z", shape["timestamp"])
    assert shape["status"] == "published"
    stored = [record for record in shared.records(NAME) if record["partition"] == shape["partition"]]
    [record] = [record for record in stored if record["offset"] == shape["offset"]]
    assert (record["key"], record["value"]) == (SINGLE["key"], SINGLE["value"])


def test_the_seeds_batch_is_answered_in_its_shape(shared: RunningServer) -> None:
    answer = post(shared, BATCH, SEVERAL)
    assert (answer.status_code, answer.headers["forebay-durability"]) == (200, "fsync")
    shape = answer.json()
    assert re.fullmatch(r"batch_[0-9a-f]{16}", shape["batchId"])
    assert (shape["totalEvents"], shape["successCount"], shape["failureCount"]) == (2, 2, 0)
    assert shape["compression"] == "gzip"
    assert [list(result) for result in shape["results"]] == [["eventId", "partition", "offset"]] * 2


def test_a_bad_event_is_answered_in_its_place(shared: RunningServer) -> None:
    before = total(shared)
    answer = post(
        shared, BATCH, {"events": [{"value": 1}, {"value": 2, "tipo": 1}, {"value": "x" * 1000}, {"value": 3}]}
    )
    shape = answer.json()
    assert (answer.status_code, shape["totalEvents"], shape["successCount"], shape["failureCount"]) == (200, 4, 2, 2)
    errors = [result.get("error") for result in shape["results"]]
    assert (errors[0], errors[3]) == (None, None)
    assert (errors[1]["code"], errors[1]["message"]) == (1004, "SERIALIZATION_ERROR")
    assert errors[1]["detail"].startswith("events[1].tipo: ")
    assert (errors[2]["code"], errors[2]["message"]) == (1011, "PAYLOAD_TOO_LARGE")
    assert total(shared) == before + 2
    refused = post(shared, BATCH, {"events": [{}, 7]})
    assert (refused.status_code, refused.json()["failureCount"]) == (400, 2)
    assert "forebay-durability" not in refused.headers
    assert total(shared) == before + 2


@pytest.mark.parametrize(
    ("path", "body", "status", "number"),
    [
        (EVENTS, b"", 400, 1004),
        (EVENTS, b"[" * 100_000, 400, 1004),
        (EVENTS, b'{"value":' + b"[" * 64 + b"]" * 64 + b"}", 400, 1004),
        (EVENTS, b'{"value":"\xff"}', 400, 1004),
        (EVENTS, b'{"value":"\\ud800"}', 400, 1004),
        (EVENTS, b'{"value":NaN}', 400, 1004),
        (EVENTS, {}, 400, 1004),
        (EVENTS, {"value": 1, "partition": 10}, 400, 1004),
        (EVENTS, {"value": 1, "timestamp": -(1 << 62)}, 400, 1004),
        (EVENTS, {"value": "x" * 1000}, 413, 1011),
        (BATCH, {"events": []}, 400, 1004),
        (BATCH, {"events": [{"value": 1}] * 10_001}, 400, 1004),
        (BATCH, {"events": [{"value": 1}], "options": {"timeout": 0}}, 400, 1004),
        (BATCH, [{"value": 1}], 400, 1004),
        ("/api/v1/streams/nothing/events", SINGLE, 404, 1001),
        ("/api/v1/streams/logs/events", SINGLE, 403, 1010),
        ("/api/v1/streams/logs/events/batch", SEVERAL, 403, 1010),
    ],
)
def test_what_is_wrong_is_refused_and_not_stored(
    shared: RunningServer, path: str, body: object, status: int, number: int
) -> None:
    before = total(shared)
    answer = post(shared, path, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, number), answer.text
    assert len(answer.text) < 1000
    assert total(shared) == before


def test_bodies_may_be_encoded(shared: RunningServer) -> None:
    plain = json.dumps(SEVERAL).encode()
    for encoding, body in (("gzip", gzip.compress(plain)), ("deflate", zlib.compress(plain))):
        assert post(shared, BATCH, body, content_encoding=encoding).json()["successCount"] == 2
    assert post(shared, BATCH, plain, content_encoding="gzip").status_code == 400
    unknown = post(shared, BATCH, plain, content_encoding="br")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (415, 1018)
    bomb = post(shared, EVENTS, gzip.compress(b" " * (40 << 20)), content_encoding="gzip")
    assert (bomb.status_code, bomb.json()["error"]["code"]) == (413, 1011)


def test_a_repeat_is_given_the_same_answer(shared: RunningServer) -> None:
    before = total(shared)
    body = {"events": [{"value": 1}, {}, {"value": 2, "key": "k"}]}
    first = post(shared, BATCH, body, idempotency_key="batch-1")
    again = [post(shared, BATCH, body, idempotency_key="batch-1") for _ in range(3)]
    assert {(answer.status_code, answer.text) for answer in again} == {(200, first.text)}
    single = post(shared, EVENTS, {"value": 1}, idempotency_key="single-1")
    assert post(shared, EVENTS, {"value": 1}, idempotency_key="single-1").text == single.text
    assert total(shared) == before + 3
    other = post(shared, EVENTS, {"value": 2}, idempotency_key="single-1")
    assert (other.status_code, other.json()["error"]["code"]) == (422, 1013)


def test_repeats_at_once_are_stored_once_and_answered_alike(shared: RunningServer) -> None:
    before = total(shared)
    answers: list[str] = []

    def send() -> None:
        answers.append(post(shared, EVENTS, {"value": "once"}, idempotency_key="at-once").text)

    senders = [threading.Thread(target=send) for _ in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert (len(answers), len(set(answers)), total(shared)) == (8, 1, before + 1)


def test_quarantine_is_not_for_batches_that_answer_for_each_event(shared: RunningServer) -> None:
    refused = post(shared, BATCH, SEVERAL, forebay_on_invalid="quarantine")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, 1008)


def test_keys_keep_their_partition_and_their_order(shared: RunningServer) -> None:
    events = [{"key": f"order-{number % 3}", "value": number} for number in range(30)]
    results = post(shared, BATCH, {"events": events}).json()["results"]
    for key in range(3):
        own = results[key::3]
        assert len({result["partition"] for result in own}) == 1
        offsets = [result["offset"] for result in own]
        assert offsets == sorted(offsets)


def test_the_usual_way_answers_as_the_short_one(shared: RunningServer) -> None:
    """A body without a length takes the usual way."""
    for path, body in ((EVENTS, SINGLE), (BATCH, SEVERAL), (EVENTS, {}), ("/api/v1/streams/nothing/events", SINGLE)):
        short = post(shared, path, body)
        with shared.client() as client:
            usual = client.post(path, content=iter([json.dumps(body).encode()]))
        assert (usual.status_code, list(usual.json())) == (short.status_code, list(short.json()))
        assert usual.headers.get("forebay-durability") == short.headers.get("forebay-durability")
    with shared.client() as client:
        assert client.post(f"{EVENTS}?x=1", json=SINGLE).json()["error"]["code"] == 1008
