"""Consuming over HTTP: seed 001's shapes, and what becomes of a position."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, batch, event, wait_for

PATH = "/api/v1/streams/logs/events"


@pytest.fixture(scope="module")
def client(shared_server: RunningServer) -> Iterator[httpx.Client]:
    shared_server.drain(batch(*[event(str(number), project="consume") for number in range(20)]))
    with shared_server.client() as opened:
        yield opened


@pytest.fixture
def group() -> str:
    return f"group-{uuid.uuid4().hex}"


def partition_of(client: httpx.Client) -> int:
    """The partition that holds the records."""
    details = client.get("/api/v1/streams/logs").json()["partitionDetails"]
    return int(next(row["partition"] for row in details if row["endOffset"] >= 20))


def refused(response: httpx.Response) -> tuple[int, int]:
    return response.status_code, response.json()["error"]["code"]


def consume(client: httpx.Client, group: str, **parameters: Any) -> dict[str, Any]:
    response = client.get(PATH, params={"consumerGroup": group, "timeout": 0, **parameters})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return dict(response.json())


def test_the_shape_is_the_seeds(client: httpx.Client, group: str) -> None:
    partition = partition_of(client)
    answer = consume(client, group, partition=partition, limit=2)
    assert set(answer) == {"events", "metadata"}
    first, second = answer["events"]
    identity = first["eventId"].split("_")
    assert identity[0] == "evt"
    assert identity[2:] == [str(partition), "0"]
    assert first == {
        "eventId": first["eventId"],
        "partition": partition,
        "offset": 0,
        "timestamp": "2024-05-31T15:30:45.000Z",
        "key": "consume",
        "value": event("0", project="consume"),
    }
    assert second["offset"] == 1
    metadata = answer["metadata"]
    assert metadata == {
        "consumerGroup": group,
        "lag": metadata["lag"],
        "nextOffset": 2,
        "nextOffsets": {str(partition): 2},
        "lags": {str(partition): metadata["lag"]},
        "recordsLost": 0,
    }
    assert metadata["lag"] >= 18


def test_it_repeats_until_a_commit(client: httpx.Client, group: str) -> None:
    partition = partition_of(client)
    for _ in range(2):
        events = consume(client, group, limit=5, partition=partition)["events"]
        assert [row["offset"] for row in events] == [0, 1, 2, 3, 4]
    offsets = [{"stream": "logs", "partition": partition, "offset": 3}]
    committed = client.post(f"/api/v1/consumers/{group}/commit", json={"offsets": offsets})
    assert (committed.status_code, committed.json()) == (200, {"status": "committed", "committedOffsets": offsets})
    events = consume(client, group, limit=2, partition=partition)["events"]
    assert [row["offset"] for row in events] == [3, 4]


def test_auto_commit_moves_on(client: httpx.Client, group: str) -> None:
    partition = partition_of(client)
    seen = []
    for _ in range(4):
        answer = consume(client, group, limit=5, partition=partition, autoCommit="true")
        seen += [row["offset"] for row in answer["events"]]
    assert seen[:20] == list(range(20))


def test_an_offset_is_chosen(client: httpx.Client, group: str) -> None:
    partition = partition_of(client)
    here = consume(client, group, partition=partition, offset=7, limit=1)
    assert [row["offset"] for row in here["events"]] == [7]
    latest = consume(client, group, offset="latest")
    assert latest["events"] == []
    assert latest["metadata"]["lag"] == 0
    earliest = consume(client, group, partition=partition, offset="earliest", limit=1)
    assert earliest["events"][0]["offset"] == 0
    beyond = client.get(PATH, params={"consumerGroup": group, "partition": partition, "offset": 10**9})
    assert refused(beyond) == (400, 1002)
    assert "valid are 0 to " in beyond.json()["error"]["detail"]
    reset = consume(client, group, partition=partition, offset=10**9, onReset="earliest", limit=1)
    assert reset["events"][0]["offset"] == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, 1008),
        ({"consumerGroup": "a/b"}, 1008),
        ({"consumerGroup": ""}, 1008),
        ({"limit": 0}, 1008),
        ({"limit": 10001}, 1008),
        ({"timeout": 30001}, 1008),
        ({"timeout": -1}, 1008),
        ({"offset": "soon"}, 1002),
        ({"offset": -1}, 1002),
        ({"offset": "٣"}, 1002),
        ({"offset": 3}, 1002),
        ({"partition": 1024}, 1008),
        ({"partition": 1000}, 1008),
        ({"memberId": "a b"}, 1008),
        ({"memberId": "x" * 129}, 1008),
        ({"onReset": "later"}, 1008),
        ({"autoCommit": "yes"}, 1008),
        ({"group": "x"}, 1008),
    ],
)
def test_bad_parameters_are_named(client: httpx.Client, query: dict[str, Any], code: int) -> None:
    parameters = ({"consumerGroup": "bad-parameters"} if query else {}) | query
    assert refused(client.get(PATH, params=parameters)) == (400, code)
    assert refused(client.get("/api/v1/consumers/bad-parameters")) == (404, 1003), "what is refused creates nothing"


def test_a_filter_chooses_and_offsets_move_past_the_rest(client: httpx.Client, group: str) -> None:
    partition = partition_of(client)
    chosen = 'value.message == "7" || value.message == "9"'
    answer = consume(client, group, partition=partition, filter=chosen, offset="earliest")
    assert [row["value"]["message"] for row in answer["events"]] == ["7", "9"]
    assert answer["metadata"]["nextOffset"] >= 20
    consume(client, group, partition=partition, filter="false", autoCommit="true")
    [committed] = client.get(f"/api/v1/consumers/{group}").json()["offsets"]
    assert committed["offset"] >= 20
    bad = client.get(PATH, params={"consumerGroup": group, "filter": "value.amount >"})
    assert refused(bad) == (400, 1008)
    assert "column" in bad.json()["error"]["detail"]


def test_a_stream_that_is_not_there(client: httpx.Client, group: str) -> None:
    missing = client.get("/api/v1/streams/nothing/events", params={"consumerGroup": group})
    assert refused(missing) == (404, 1001)
    assert refused(client.get(f"/api/v1/consumers/{group}")) == (404, 1003)


def test_members_share_and_are_fenced(client: httpx.Client, group: str) -> None:
    count = len(client.get("/api/v1/streams/logs").json()["partitionDetails"])
    alone = consume(client, group, memberId="a")
    assert len(alone["metadata"]["nextOffsets"]) == count
    b = consume(client, group, memberId="b")["metadata"]["nextOffsets"]
    a = consume(client, group, memberId="a")["metadata"]["nextOffsets"]
    assert len(a) + len(b) == count
    assert not set(a) & set(b)

    def commit(partition: str, **more: object) -> httpx.Response:
        offsets = [{"stream": "logs", "partition": int(partition), "offset": 0}]
        return client.post(f"/api/v1/consumers/{group}/commit", json={"offsets": offsets, **more})

    assert commit(next(iter(b)), memberId="b").status_code == 200
    assert refused(commit(next(iter(b)), memberId="a")) == (409, 1012)
    assert refused(commit(next(iter(b)))) == (409, 1012)
    left = client.delete(f"/api/v1/consumers/{group}/members/b")
    assert left.json() == {"status": "left", "consumerGroup": group, "memberId": "b"}
    assert refused(client.delete(f"/api/v1/consumers/{group}/members/b")) == (404, 1016)
    assert len(consume(client, group, memberId="a")["metadata"]["nextOffsets"]) == count


@pytest.mark.slow
def test_groups_survive_a_kill(server: Any, group: str) -> None:
    running: RunningServer = server(logs_partitions=1)
    running.drain(batch(*[event(str(number)) for number in range(5)]))
    with running.client() as client:
        consume(client, group)
        offsets = [{"stream": "logs", "partition": 0, "offset": 4}]
        client.post(f"/api/v1/consumers/{group}/commit", content=json.dumps({"offsets": offsets})).raise_for_status()
    running.kill()
    again: RunningServer = server(logs_partitions=1)
    with again.client() as client:
        assert [row["offset"] for row in consume(client, group)["events"]] == [4]


@pytest.mark.slow
def test_a_token_of_projects_consumes_nothing(server: Any) -> None:
    running: RunningServer = server(auth=True)
    token = TokenStore(running.data_dir).create("mine", ["read"], ["mine"])
    with running.client() as client:
        client.headers["authorization"] = f"Bearer {token}"
        query: dict[str, Any] = {"consumerGroup": "mine", "timeout": 0}

        def known() -> bool:
            return client.get("/api/v1/streams").status_code != 401

        wait_for("the token", known)
        for response in (
            client.get(PATH, params=query),
            client.get("/api/v1/consumers"),
            client.get("/api/v1/consumers/mine"),
            client.post("/api/v1/consumers/mine/commit", json={"offsets": []}),
            client.delete("/api/v1/consumers/mine/members/a"),
        ):
            assert refused(response) == (403, 1010)
