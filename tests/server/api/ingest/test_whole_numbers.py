"""A whole number is one however JSON writes it: `13.0` and `1e3` are what languages with one kind of number write."""

from __future__ import annotations

from typing import Any

import pytest

from support.harness import RunningServer

MILLIS = 1_640_995_200_000


@pytest.fixture(scope="module")
def running(shared_server: RunningServer) -> RunningServer:
    shared_server.post("/api/v1/streams", {"name": "s", "partitions": 4}).raise_for_status()
    return shared_server


CASES = [
    ("POST", "/api/scale", '{"instances":%s}', ("2.0", "0.2e1"), 200),
    ("PATCH", "/api/v1/streams/s", '{"config":{"retentionMs":%s}}', (f"{MILLIS}.0", "1.0e10", "-1.0"), 200),
    ("PATCH", "/api/v1/streams/s", '{"config":{"maxMessageBytes":%s}}', ("1024.0", "1e3"), 200),
    (
        "PATCH",
        "/api/v1/streams/s",
        '{"config":{"quota":{"events":{"perSecond":%s,"burst":1e6}}}}',
        ("1000.0", "1E+5"),
        200,
    ),
    ("POST", "/api/v1/streams/s/events", '{"value":1,"partition":%s}', ("3.0", "0.3e1"), 201),
    ("POST", "/api/v1/streams/s/events", '{"value":1,"timestamp":%s}', (f"{MILLIS}.0", "1640995200e3"), 201),
    (
        "POST",
        "/api/v1/streams/s/events/batch",
        '{"events":[{"value":1}],"options":{"timeout":%s}}',
        ("5000.0", "5e3"),
        200,
    ),
    ("POST", "/api/v1/consumers/g/commit", '{"offsets":[{"stream":"s","partition":3.0,"offset":%s}]}', ("1.0",), 200),
    ("POST", "/api/events", '{"type":"t","source":"s","data":{},"timestamp":%s}', (f"{MILLIS}.0", "0.0"), 200),
    ("POST", "/v1/analytics/track", '{"event":{"type":"t"},"timestamp":%s}', (f"{MILLIS}.000",), 202),
    ("POST", "/v1/analytics/track", '{"event":{"type":"t"},"device":{"screen_width":%s}}', ("1920.0", "1e3"), 202),
    ("POST", "/api/load-test", '{"eventsPerSecond":%s,"durationSeconds":1.0}', ("1e0",), 200),
]


@pytest.mark.parametrize(("method", "path", "body", "numbers", "status"), CASES)
def test_whole_numbers_are_taken_and_others_are_not(
    running: RunningServer, method: str, path: str, body: str, numbers: tuple[str, ...], status: int
) -> None:
    with running.client() as client:
        # So that a commit has a group, and its offset a record.
        client.post("/api/v1/streams/s/events", json={"value": 0, "partition": 3}).raise_for_status()
        client.get("/api/v1/streams/s/events", params={"consumerGroup": "g", "timeout": 0}).raise_for_status()
        for number in numbers:
            answer = client.request(method, path, content=body % number)
            assert answer.status_code == status, (number, answer.text)
        for number in ("1.5", "2e-1", "1e400", "1.00000000000000000000000001", '"2"', "true"):
            answer = client.request(method, path, content=body % number)
            assert answer.status_code == 400, (number, answer.text)
        client.delete("/api/load-test")


def test_they_mean_what_they_say(running: RunningServer) -> None:
    with running.client() as client:

        def ask(method: str, path: str, body: str) -> Any:
            return client.request(method, path, content=body).raise_for_status().json()

        placed = ask("POST", "/api/v1/streams/s/events", '{"value":1,"partition":2.0,"timestamp":1640995200000.0}')
        assert placed["partition"] == 2
        assert placed["timestamp"] == "2022-01-01T00:00:00.000Z"
        exact = ask("PATCH", "/api/v1/streams/s", '{"config":{"retentionBytes":1125899906842623.0}}')
        assert exact["config"]["retentionBytes"] == (1 << 50) - 1
        ask("POST", "/api/scale", '{"instances":3.0}')
        assert ask("GET", "/api/metrics", "")["system"]["processingInstances"] == 3
