"""One event that the server refuses never takes its neighbours along."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.proxy import Answer, Request, accepted, scripted, stored
from forebay.client import Client, Rejection
from forebay.client.client import MAX_BATCH_EVENTS
from forebay.client.endpoint import endpoint_of
from support.harness import RunningServer

BAD = (3, 4, 9)


def numbers(request: Request) -> list[int]:
    body = json.loads(request.body)
    rows = body["events"] if isinstance(body, dict) else body

    def number(row: dict[str, Any]) -> int:
        return int((row.get("value") or row.get("data") or row["user"])["n"])

    return [number(row) for row in rows]


def whole(naming: str) -> Callable[[Request], Answer]:
    """A route that stores a batch whole or not at all, and names the first bad event as `naming` says."""

    def answer(request: Request) -> Answer:
        for index, number in enumerate(numbers(request)):
            if number in BAD:
                return Answer(400, json.dumps({"error": naming.format(index=index, wrong=99)}).encode())
        return accepted(request)

    return answer


@pytest.mark.parametrize("naming", ["[{index}].event.type: missing", "events[{index}]: bad", "bad", "events[{wrong}]"])
def test_a_batch_that_is_whole_or_nothing_is_split_around_the_bad_ones(naming: str) -> None:
    told: list[Rejection] = []
    with (
        scripted(whole(naming)) as server,
        Client(server.url, on_rejected=told.append, batch_events=12, connections=1) as client,
    ):
        for number in range(12):
            client.track("view", user={"n": number})
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().rejected) == (9, 3)
    assert {request.path for request in server.seen} == {"/v1/analytics/track/batch"}
    good = [number for request in server.seen if not set(BAD) & set(numbers(request)) for number in numbers(request)]
    assert sorted(good) == sorted(set(range(12)) - set(BAD))
    assert sorted(json.loads(row.event or b"")["user"]["n"] for row in told) == sorted(BAD)
    bodies: dict[str, bytes] = {}
    for request in server.seen:
        assert bodies.setdefault(request.key, request.body) == request.body, "another body needs another key"
    assert all(key.startswith(server.seen[0].key) for key in bodies)


def test_a_named_neighbour_is_not_lost_to_a_wrong_index() -> None:
    def misleading(request: Request) -> Answer:
        if 5 in numbers(request):
            return Answer(403, b'{"error":"events[0]: the token may not write this project"}')
        return accepted(request)

    told: list[Rejection] = []
    with scripted(misleading) as server, Client(server.url, on_rejected=told.append) as client:
        for number in range(8):
            client.track("view", user={"n": number})
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().rejected) == (7, 1)
    assert [json.loads(row.event or b"")["user"]["n"] for row in told] == [5]


@pytest.mark.parametrize("status", [200, 400])
def test_events_that_are_refused_on_their_own(status: int) -> None:
    def answer(request: Request) -> Answer:
        errors = [{"index": at, "error": "bad data"} for at, n in enumerate(numbers(request)) if n in BAD or n > 50]
        found = {"success": False, "processed": 0, "failed": len(errors), "errors": errors, "error": "x"}
        return Answer(status, json.dumps(found).encode())

    told: list[Rejection] = []
    with scripted(answer) as server, Client(server.url, on_rejected=told.append) as client:
        for number in range(12) if status == 200 else range(51, 63):
            client.event("view", "app", {"n": number})
        assert client.flush() == 0
        assert client.stats().rejected == (3 if status == 200 else 12)
        assert client.stats().delivered == (9 if status == 200 else 0)
    assert len(server.seen) == 1
    assert {row.reason for row in told} == {"bad data"}
    event = json.loads(server.seen[0].body)[0]
    assert (event["type"], event["source"], type(event["timestamp"])) == ("view", "app", int)


def test_publications_to_a_real_server(shared_server: RunningServer) -> None:
    with shared_server.client() as http:
        config = {"name": "small", "config": {"maxMessageBytes": 100}}
        assert http.post("/api/v1/streams", json=config).status_code == 201
    told: list[Rejection] = []
    with Client(shared_server.url, on_rejected=told.append) as client:
        for number in range(10):
            client.publish("small", "x" * (200 if number in BAD else 1), key=str(number), headers={"a": "b"})
        client.publish("missing", 1)
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().rejected) == (7, 4)
    assert {json.loads(row.event or b"").get("key") for row in told} == {"3", "4", "9", None}
    assert all(row.reason for row in told)
    rows = shared_server.records("small")
    assert {row["key"] for row in rows} == {str(number) for number in range(10) if number not in BAD}


def test_analytics_and_events_to_a_real_server(shared_server: RunningServer) -> None:
    told: list[Rejection] = []
    with Client(shared_server.url, on_rejected=told.append) as client:
        for number in range(10):
            client.track("" if number in BAD else "view", user=str(number))
            client.event("view", "" if number in BAD else "app", {"n": number})
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().rejected) == (14, 6)
    good = sorted(set(range(10)) - set(BAD))
    assert sorted(int(row["value"]["user"]["id"]) for row in shared_server.records("analytics")) == good
    assert sorted(row["value"]["data"]["n"] for row in shared_server.records("events")) == good
    assert {(row.lane, "must not be empty" in row.reason) for row in told} == {("track", True), ("events", True)}


def test_bad_log_events_are_named_by_the_server(shared_server: RunningServer, tmp_path: Path) -> None:
    told: list[Rejection] = []
    file = tmp_path / "rejected.ndjson"
    with Client(
        shared_server.url, project_id="named", on_rejected=told.append, rejected_file=file, linger_seconds=10
    ) as client:
        for number in range(10):
            client.log(str(number), timestamp="yesterday" if number in BAD else None)
        client.log("no level", level="")
        assert client.flush() == 0
        stats = client.stats()
    assert (stats.delivered, stats.rejected, stats.batches) == (7, 4, 1)
    assert stats.accepted == stats.delivered + stats.pending + stats.rejected + stats.dropped
    assert [json.loads(row.event or b"")["message"] for row in told] == ["3", "4", "9", "no level"]
    assert [row.count for row in told] == [1] * 4
    kept = [row["value"] for row in shared_server.records("logs.rejected") if "'named'" in str(row)]
    assert [(row["event"], row["reason"]) for row in kept] == [(json.loads(r.event or b""), r.reason) for r in told]
    assert all(row.reason.startswith("timestamp: is not an RFC 3339") for row in told[:3])
    assert told[-1].reason == "level: must not be empty"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["lane"], row["reason"], row["event"]) for row in rows] == [
        ("drain", row.reason, json.loads(row.event or b"")) for row in told
    ]
    stored = [row["value"]["message"] for row in shared_server.records() if row["key"] == "named"]
    assert stored == [str(number) for number in range(10) if number not in BAD]


def test_the_largest_batch_of_a_client_is_named_whole(shared_server: RunningServer) -> None:
    told: list[Rejection] = []
    with Client(shared_server.url, on_rejected=told.append, batch_events=MAX_BATCH_EVENTS, linger_seconds=10) as client:
        client.log_many([{"message": str(number), "level": ""} for number in range(MAX_BATCH_EVENTS)])
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().rejected) == (0, MAX_BATCH_EVENTS)
        assert client.stats().batches == 1
    assert [json.loads(row.event or b"{}").get("message") for row in told] == [str(n) for n in range(MAX_BATCH_EVENTS)]


@pytest.mark.parametrize(
    ("quarantined", "errors", "named", "counted"),
    [
        (3, None, [], 3),
        (3, [4], [4], 2),
        (2, [1, 4], [1, 4], 0),
        (0, [1], [1], 0),
        (99, [1, 99, -1], [1], 9),
        (-7, None, [], 0),
    ],
)
def test_events_that_the_server_only_counts(
    quarantined: int, errors: list[int] | None, named: list[int], counted: int
) -> None:
    """An older server names none, and no server names more than 1000: whatever an answer says, the account adds up."""
    found: dict[str, Any] = {"status": "accepted", "quarantined": quarantined}
    if errors is not None:
        found["errors"] = [{"index": index, "error": f"reason {index}"} for index in errors]
    told: list[Rejection] = []
    with (
        scripted(lambda _: stored(json.dumps(found).encode())) as server,
        Client(server.url, on_rejected=told.append, linger_seconds=10) as client,
    ):
        for number in range(10):
            client.log(str(number))
        assert client.flush() == 0
        stats = client.stats()
    assert (stats.accepted, stats.delivered) == (10, 10 - len(named) - counted)
    assert stats.rejected == len(named) + counted
    alone = [(json.loads(row.event)["message"], row.reason) for row in told if row.event is not None]
    assert alone == [(str(index), f"reason {index}") for index in named]
    assert [row.count for row in told if row.event is None] == ([counted] if counted else [])


def test_endpoints_have_names_and_nothing_else_does() -> None:
    for name in ("drain", "track", "events", "publish:a.b"):
        assert endpoint_of(name).name == name
    for name in ("", "logs", "publish:", "publish:..", "publish:a\r\nb"):
        with pytest.raises(ValueError, match="no name of a stream|no endpoint"):
            endpoint_of(name)
