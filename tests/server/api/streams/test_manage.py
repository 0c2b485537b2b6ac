"""Creating, changing and deleting streams over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from support.harness import RunningServer, wait_for

pytestmark = pytest.mark.slow

STREAMS = "/api/v1/streams"


def ask(server: RunningServer, method: str, path: str = "", body: object = None) -> httpx.Response:
    content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    with server.client() as client:
        return client.request(method, STREAMS + path, content=content)


def code(response: httpx.Response) -> tuple[int, int]:
    error = response.json()["error"]
    assert set(error) == {"code", "message", "description", "detail"}
    return response.status_code, error["code"]


def test_the_seeds_stream_is_created_and_described(shared_server: RunningServer) -> None:
    body = {
        "name": "user-events",
        "partitions": 10,
        "replicationFactor": 3,
        "config": {"retentionMs": 604800000, "compressionType": "gzip", "maxMessageBytes": 1048576},
    }
    created = ask(shared_server, "POST", "", body)
    assert created.status_code == 201
    made = created.json()
    assert "one replica" in made.pop("warnings")[0]
    assert made == ask(shared_server, "GET", "/user-events").json()
    assert (made["partitions"], made["replicationFactor"], made["totalMessages"], made["totalSize"]) == (10, 1, 0, 0)
    config = made["config"]
    assert (config["retentionMs"], config["compressionType"], config["maxMessageBytes"]) == (604800000, "gzip", 1 << 20)
    assert made["partitionDetails"][9] == {
        "partition": 9,
        "leader": "broker-1",
        "replicas": ["broker-1"],
        "startOffset": 0,
        "endOffset": 0,
    }
    assert code(ask(shared_server, "POST", "", body)) == (409, 1007)


def test_what_is_not_given_has_the_contracts_defaults(shared_server: RunningServer) -> None:
    made = ask(shared_server, "POST", "", {"name": "plain"}).json()
    assert made["partitions"] == 1
    assert made["config"] == {
        "retentionMs": 604800000,
        "retentionBytes": -1,
        "compressionType": "none",
        "layout": "rows",
        "maxMessageBytes": 1048576,
        "dedupWindow": "10m",
    }
    assert "warnings" not in made
    listed = ask(shared_server, "GET").json()["streams"]
    assert made in listed


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, 1004)),
        (b"{", (400, 1004)),
        (b'{"name":"\xff"}', (400, 1004)),
        (b'{"name":"a\\ud800"}', (400, 1004)),
        (b"[" * 5000, (400, 1008)),
        ([], (400, 1008)),
        ({}, (400, 1008)),
        ({"name": 1}, (400, 1008)),
        ({"name": ""}, (400, 1008)),
        ({"name": "."}, (400, 1008)),
        ({"name": ".."}, (400, 1008)),
        ({"name": "a/b"}, (400, 1008)),
        ({"name": "a\n"}, (400, 1008)),
        ({"name": "x" * 250}, (400, 1008)),
        ({"name": "s", "partitions": 0}, (400, 1008)),
        ({"name": "s", "partitions": 1025}, (400, 1008)),
        ({"name": "s", "partitions": "1"}, (400, 1008)),
        ({"name": "s", "partitions": 1 << 80}, (400, 1008)),
        ({"name": "s", "replicationFactor": 0}, (400, 1008)),
        ({"name": "s", "config": {"retentionMs": 0}}, (400, 1008)),
        ({"name": "s", "config": {"retentionMs": -2}}, (400, 1008)),
        ({"name": "s", "config": {"compressionType": "rar"}}, (400, 1008)),
        ({"name": "s", "config": {"maxMessageBytes": 1 << 29}}, (400, 1008)),
        ({"name": "s", "config": {"dedupWindow": "0s"}}, (400, 1008)),
        ({"name": "s", "config": {"dedupWindow": "25h"}}, (400, 1008)),
        ({"name": "s", "config": {"dedupWindow": "999999h"}}, (400, 1008)),
        ({"name": "s", "config": {"dedupWindow": "1d"}}, (400, 1008)),
        ({"name": "s", "config": {"dedupWindow": 600}}, (400, 1008)),
        ({"name": "s", "config": {"cleanup": 1}}, (400, 1008)),
        ({"name": "s", "colour": 1}, (400, 1008)),
        ({"name": "events"}, (409, 1007)),
        ({"name": "s.rejected"}, (403, 1010)),
        ({"name": "s.dead-letter"}, (403, 1010)),
        ({"name": "audit"}, (403, 1010)),
        (b'{"name":"s","x":"' + b"y" * 70_000 + b'"}', (413, 1011)),
    ],
)
def test_what_is_no_stream_is_refused(shared_server: RunningServer, body: object, expected: tuple[int, int]) -> None:
    assert code(ask(shared_server, "POST", "", body)) == expected
    assert code(ask(shared_server, "GET", "/s")) == (404, 1001)


def test_a_change_is_durable(server: Callable[..., RunningServer]) -> None:
    running = server()
    ask(running, "POST", "", {"name": "orders", "config": {"retentionMs": 1000, "maxMessageBytes": 10}})
    changed = ask(
        running, "PATCH", "/orders", {"config": {"retentionMs": -1, "compressionType": "zstd", "layout": "columns"}}
    )
    assert changed.status_code == 200
    config = changed.json()["config"]
    assert config == {
        "retentionMs": -1,
        "retentionBytes": -1,
        "compressionType": "zstd",
        "layout": "columns",
        "maxMessageBytes": 10,
        "dedupWindow": "10m",
    }
    running.kill()
    again = server()
    assert ask(again, "GET", "/orders").json() == changed.json()
    assert code(ask(again, "PATCH", "/nothing", {"config": {}})) == (404, 1001)
    assert code(ask(again, "PATCH", "/orders", {"partitions": 3})) == (400, 1008)
    assert code(ask(again, "PATCH", "/logs", {"config": {"retentionMs": 5}})) == (403, 1010)


def test_a_deleted_stream_is_gone_and_its_name_is_free(server: Callable[..., RunningServer]) -> None:
    running = server(journal_file_age_seconds=1)

    def publish(value: int) -> dict[str, Any]:
        answer = ask(running, "POST", "/orders/events", {"value": value})
        assert answer.status_code == 201
        return dict(answer.json())

    ask(running, "POST", "", {"name": "orders"})
    first = publish(1)
    segments = running.data_dir / "segments"
    wait_for("sealing", lambda: any(segments.glob("*.segment")))
    publish(2)
    deleted = ask(running, "DELETE", "/orders")
    assert deleted.status_code == 200
    shape = deleted.json()
    assert (shape["status"], shape["streamName"]) == ("deleted", "orders")
    assert shape["deletedAt"].endswith("Z")
    assert not any(segments.glob("*.segment"))
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/records")):
        assert code(ask(running, method, f"/orders{path}")) == (404, 1001)
    assert code(ask(running, "POST", "/orders/events", {"value": 1})) == (404, 1001)
    ask(running, "POST", "", {"name": "orders"})
    assert running.records("orders") == []
    second = publish(3)
    assert (second["offset"], second["eventId"] != first["eventId"]) == (0, True)
    running.kill()
    again = server()
    assert [record["value"] for record in again.records("orders")] == [3]


def test_streams_and_partitions_are_limited_in_all(server: Callable[..., RunningServer]) -> None:
    running = server(max_streams=2, max_partitions=10)
    assert ask(running, "POST", "", {"name": "a", "partitions": 4}).status_code == 201
    wide = ask(running, "POST", "", {"name": "b", "partitions": 7})
    assert code(wide) == (409, 1023)
    assert wide.json()["error"]["message"] == "STREAM_LIMIT_REACHED"
    assert "max_partitions" in wide.json()["error"]["detail"]
    assert ask(running, "POST", "", {"name": "b", "partitions": 6}).status_code == 201
    more = ask(running, "POST", "", {"name": "c"})
    assert code(more) == (409, 1023)
    assert "max_streams" in more.json()["error"]["detail"]
    # The streams that the engine makes itself still have a place.
    put_aside = running.post("/v1/drain", {"events": [{"no": "event"}]}, **{"Forebay-On-Invalid": "quarantine"})
    assert (put_aside.status_code, put_aside.json()["quarantined"]) == (202, 1)
    assert ask(running, "DELETE", "/a").status_code == 200
    assert ask(running, "POST", "", {"name": "c"}).status_code == 201


def test_the_engines_own_streams_stay(shared_server: RunningServer) -> None:
    assert code(ask(shared_server, "DELETE", "/logs")) == (403, 1010)


@pytest.mark.parametrize("path", ["/%FF", "/%ED%A0%80", "/a%00b", "/" + "x" * 5000, "/%2E%2E", "/ä"])
def test_names_that_no_stream_can_have_are_not_found(shared_server: RunningServer, path: str) -> None:
    for method in ("GET", "DELETE"):
        assert code(ask(shared_server, method, path)) == (404, 1001)
    assert code(ask(shared_server, "PATCH", path, {"config": {}})) == (404, 1001)
    assert code(ask(shared_server, "POST", f"{path}/events", {"value": 1})) == (404, 1001)


def test_roles_are_held(server: Callable[..., RunningServer]) -> None:
    running = server(auth=True)
    running.headers = {}
    for method, path in (("POST", ""), ("PATCH", "/a"), ("DELETE", "/a"), ("POST", "/a/events")):
        assert code(ask(running, method, path, {})) == (401, 1009)
