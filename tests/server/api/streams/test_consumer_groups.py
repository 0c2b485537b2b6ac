"""Groups over HTTP: committing, listing, deleting."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.harness import RunningServer, batch, event


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
    assert [(entry["partition"], entry["offset"], entry["committed"]) for entry in found] == [
        (0, 2, True),
        (1, 3, True),
    ]
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
    end, other = (row["endOffset"] for row in client.get("/api/v1/streams/logs").json()["partitionDetails"])
    assert one["offsets"] == [
        {"stream": "logs", "partition": 0, "offset": 2, "endOffset": end, "lag": end - 2, "committed": True},
        {"stream": "logs", "partition": 1, "offset": 0, "endOffset": other, "lag": other, "committed": False},
    ]
    assert one["lag"] == end - 2 + other
    assert one["consumerGroup"] == group
    assert one["createdAt"] <= one["lastUsedAt"]
    [listed] = [
        entry for entry in client.get("/api/v1/consumers").json()["consumers"] if entry["consumerGroup"] == group
    ]
    assert listed == {
        "consumerGroup": group,
        "createdAt": one["createdAt"],
        "lastUsedAt": one["lastUsedAt"],
        "lag": end - 2 + other,
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


@pytest.mark.slow
def test_lag_counts_from_the_first_call_in_every_view(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = RunningServer(tmp_path_factory.mktemp("lag") / "data", logs_partitions=1).start()
    path = "/api/v1/streams/logs/events"

    def views(client: httpx.Client, group: str) -> set[float]:
        """The lag of one group: in the list, by itself, and in the metrics."""
        listed = client.get("/api/v1/consumers").json()["consumers"]
        one = client.get(f"/api/v1/consumers/{group}").json()
        line = f'forebay_group_lag_records{{group="{group}"}} '
        [metric] = [row for row in client.get("/metrics").text.splitlines() if row.startswith(line)]
        [row] = [row for row in listed if row["consumerGroup"] == group]
        return {row["lag"], one["lag"], sum(entry["lag"] for entry in one["offsets"]), float(metric.split()[-1])}

    try:
        running.drain(batch(*[event(str(number)) for number in range(5)]))
        with running.client() as client:
            for group, offset in [("early", {}), ("late", {"offset": "latest"})]:
                client.get(path, params={"consumerGroup": group, "timeout": 0, **offset}).raise_for_status()
            assert (views(client, "early"), views(client, "late")) == ({5}, {0})
            running.drain(batch(event("more"), event("and more")))
            assert (views(client, "early"), views(client, "late")) == ({7}, {2})
        running.kill()
        running.start()
        with running.client() as client:
            assert (views(client, "early"), views(client, "late")) == ({7}, {2})
            late = client.get(path, params={"consumerGroup": "late", "timeout": 0}).json()
            assert [row["value"]["message"] for row in late["events"]] == ["more", "and more"]
            assert late["metadata"]["lag"] == 0
            assert views(client, "late") == {2}, "what was not committed is not done with"
    finally:
        running.stop()
