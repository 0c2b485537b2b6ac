"""A processor for tests, and the events that it reads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import msgspec

from support.harness import RunningServer, wait_for

SOURCE = "transactions"

FRAUD: dict[str, Any] = {
    "name": "fraud-detection",
    "source": SOURCE,
    "operations": [
        {"type": "filter", "predicate": "value.amount > 1000"},
        {"type": "window", "windowType": "tumbling", "duration": 300000},
        {"type": "aggregate", "aggregation": "count", "groupBy": "userId"},
    ],
    "sink": "fraud-alerts",
    "config": {"parallelism": 4, "checkpointInterval": 60000},
}
"""The documented one, without its function."""

TIMED: dict[str, Any] = {
    "name": "timed",
    "source": SOURCE,
    "operations": [{"type": "filter", "predicate": "true"}],
    "sink": "copies",
    "config": {"timestampField": "at"},
}
"""Without a time at `at` a record is a dead letter."""

EVERY_SETTING: dict[str, Any] = {
    "parallelism": 2,
    "checkpoint_interval": timedelta(seconds=1),
    "allowed_lateness": timedelta(seconds=2),
    "idle_timeout": timedelta(seconds=3),
    "max_future": timedelta(0),
    "idle_close": timedelta(seconds=5),
    "timestamp_field": "at",
    "emit": "update",
}
"""What `Pipeline.config` takes, with none of the defaults."""

CONFIG: dict[str, Any] = {
    "parallelism": 2,
    "checkpointInterval": 1_000,
    "allowedLateness": 2_000,
    "idleTimeout": 3_000,
    "maxFuture": 0,
    "idleClose": 5_000,
    "timestampField": "at",
    "emit": "update",
    "lateSink": "late",
}
"""The same in a definition, with late records on `late`."""

ALERTS = [
    ("a", {"windowStart": "2025-01-15T10:00:00.000Z", "windowEnd": "2025-01-15T10:05:00.000Z", "key": "a", "count": 2}),
    ("b", {"windowStart": "2025-01-15T10:00:00.000Z", "windowEnd": "2025-01-15T10:05:00.000Z", "key": "b", "count": 1}),
]
"""The keys and values of the alerts for `EVENTS`."""


def transaction(user: str, amount: object, time: str) -> dict[str, Any]:
    return {"value": {"userId": user, "amount": amount}, "timestamp": f"2025-01-15T{time}Z"}


EVENTS = [
    transaction("b", 1500, "10:00:01"),
    transaction("a", 2000, "10:00:00"),
    transaction("a", 999, "10:01:00"),
    transaction("a", "much", "10:02:00"),
    transaction("a", 1000.5, "10:04:59.999"),
    # It begins the next window, and so ends the one before it.
    transaction("c", 5000, "10:05:00"),
]


def publish(server: RunningServer, *events: dict[str, Any], stream: str = SOURCE) -> None:
    server.post(f"/api/v1/streams/{stream}/events/batch", {"events": events}).raise_for_status()


def create_source(server: RunningServer, partitions: int = 1) -> None:
    server.post("/api/v1/streams", {"name": SOURCE, "partitions": partitions}).raise_for_status()


def processed(server: RunningServer, name: str, records: int) -> dict[str, Any]:
    """The metrics of a processor once it has processed so many records."""
    shown: dict[str, Any] = {}

    def is_done() -> bool:
        with server.client() as client:
            shown.update(client.get(f"/api/v1/processors/{name}/metrics").raise_for_status().json())
        return bool(shown["metrics"]["eventsProcessed"] == records)

    wait_for(f"{records} records that {name} has processed", is_done)
    return shown


def results(server: RunningServer, stream: str, count: int) -> list[tuple[str | None, Any]]:
    """Key and value of each record of a sink, once there are `count`."""
    wait_for(f"{count} results", lambda: len(server.stored(stream)) >= count)
    return [(row["key"], row["value"]) for row in server.stored(stream)]


def check(shape: Any, body: Any) -> None:
    """The shape of `/openapi.json` is exactly what the engine writes."""
    assert set(body) == {field.encode_name for field in msgspec.structs.fields(shape)}
    msgspec.convert(body, shape)


def refused(response: httpx.Response) -> tuple[int, int, str]:
    """Status, code and detail of an answer that is an error."""
    error = response.json()["error"]
    return response.status_code, error["code"], error["detail"]
