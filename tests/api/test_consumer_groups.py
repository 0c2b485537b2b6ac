"""Groups over HTTP: committing, listing, deleting."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from harness import RunningServer, batch, event


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    running = RunningServer(tmp_path_factory.mktemp("server") / "data", logs_partitions=2).start()
    running.drain(batch(*[event(str(number), project=f"p{number}") for number in range(40)]))
    with running.client() as opened:
        yield opened
    running.stop()


@pytest.fixture
def group(client: httpx.Client) -> str:
    name = f"group-{uuid.uuid4().hex}"
    client.get("/api/v1/streams/logs/events", params={"consumerGroup": name, "timeout": 0}).raise_for_status()
    return name


def row(offset: int, partition: int = 0, stream: str = "logs") -> dict[str, Any]:
    return {"stream": stream, "partition": partition, "offset": offset}


def commit(client: httpx.Client, group: str, *offsets: dict[str, Any], **more: object) -> httpx.Response:
    return client.post(f"/api/v1/consumers/{group}/commit", json={"offsets": list(offsets), **more})


def refused(response: httpx.Response) -> tuple[int, int]:
    return response.status_code, response.json()["error"]["code"]


def test_a_commit_is_all_or_nothing(client: httpx.Client, group: str) -> None:
    assert commit(client, group, row(2), row(3, 1)).status_code == 200
    assert refused(commit(client, group, row(4), row(10**6, 1))) == (400, 1002)
    assert refused(commit(client, group, row(4), row(2, 1))) == (400, 1002)
    assert refused(commit(client, group, row(4), row(0, stream="nothing"))) == (404, 1001)
    assert refused(commit(client, "nobody", row(4))) == (404, 1003)
    assert refused(commit(client, group, row(4), row(0, 7))) == (400, 1008)
    assert refused(commit(client, group, row(-1))) == (400, 1002)
    assert refused(commit(client, group)) == (400, 1008)
    assert refused(commit(client, group, row(4), row(4))) == (400, 1008)
    found = client.get(f"/api/v1/consumers/{group}").json()["offsets"]
    assert [(entry["partition"], entry["offset"]) for entry in found] == [(0, 2), (1, 3)]
    assert commit(client, group, row(1), force=True).status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"offsets":{}}', b'{"offsets":[{"stream":"logs"}]}', b'{"offsets":[],"x":1}', b"\xff"],
)
def test_a_malformed_commit_is_refused(client: httpx.Client, group: str, body: bytes) -> None:
    assert refused(client.post(f"/api/v1/consumers/{group}/commit", content=body)) == (400, 1004)


def test_a_group_is_described(client: httpx.Client, group: str) -> None:
    client.get("/api/v1/streams/logs/events", params={"consumerGroup": group, "timeout": 0, "memberId": "m"})
    commit(client, group, row(2), memberId="m").raise_for_status()
    one = client.get(f"/api/v1/consumers/{group}").json()
    [member] = one["members"]
    assert 0 < member.pop("leaseMs") <= 30_000
    assert member == {"memberId": "m", "stream": "logs", "partitions": [0, 1]}
    end = client.get("/api/v1/streams/logs").json()["partitionDetails"][0]["endOffset"]
    assert one["offsets"] == [{"stream": "logs", "partition": 0, "offset": 2, "endOffset": end, "lag": end - 2}]
    assert one["lag"] == end - 2
    assert one["consumerGroup"] == group
    assert one["createdAt"] <= one["lastUsedAt"]
    [listed] = [
        entry for entry in client.get("/api/v1/consumers").json()["consumers"] if entry["consumerGroup"] == group
    ]
    assert listed == {
        "consumerGroup": group,
        "createdAt": one["createdAt"],
        "lastUsedAt": one["lastUsedAt"],
        "lag": end - 2,
        "members": 1,
        "streams": ["logs"],
    }


def test_a_group_is_deleted(client: httpx.Client, group: str) -> None:
    commit(client, group, row(2)).raise_for_status()
    deleted = client.delete(f"/api/v1/consumers/{group}").json()
    assert (deleted["status"], deleted["consumerGroup"]) == ("deleted", group)
    assert refused(client.delete(f"/api/v1/consumers/{group}")) == (404, 1003)
    assert refused(client.get(f"/api/v1/consumers/{group}")) == (404, 1003)
    assert refused(commit(client, group, row(3))) == (404, 1003)
