"""Segments that cannot be read, or are damaged, as every reader sees them."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import forebay
from forebay import errors
from support import sealed
from support.harness import RunningServer, run, wait_for
from support.sealed import FILES, RECORDS
from support.sse import Tail

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]
EVENTS = "/api/v1/streams/orders/events"
LAST = (FILES - 1) * RECORDS
ALL = list(range(FILES * RECORDS))
KEPT = [*range(RECORDS), *range(2 * RECORDS, 3 * RECORDS)]


def consume(client: httpx.Client, **parameters: Any) -> httpx.Response:
    return client.get(EVENTS, params={"consumerGroup": "g", "timeout": 0, **parameters})


def committed(client: httpx.Client) -> dict[int, int]:
    found = client.get("/api/v1/consumers/g").json()["offsets"]
    return {row["partition"]: row["offset"] for row in found if row["committed"]}


@pytest.fixture
def segments(tmp_path: Path) -> list[Path]:
    return sealed.write(tmp_path / "data")


def test_over_http_a_failed_read_is_503_and_nothing_is_skipped(segments: list[Path], server: Start) -> None:
    running = server()
    with running.client() as client:
        with sealed.unreadable(segments[1]):
            first = consume(client, autoCommit="true").json()
            assert [event["value"] for event in first["events"]] == ALL[:RECORDS]
            for _ in range(2):
                refused = consume(client, autoCommit="true", timeout=10_000)
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, 1014)
                assert "retry-after" in refused.headers
                assert f"offset {RECORDS} of partition 0" in refused.json()["error"]["detail"]
                assert committed(client) == {0: RECORDS}
            page = client.get("/api/v1/streams/orders/records", params={"offset": RECORDS})
            assert (page.status_code, page.json()["error"]["code"]) == (503, 1014)
            begun = client.get("/api/v1/streams/orders/records").raise_for_status()
            assert begun.headers["forebay-next-offset"] == str(RECORDS)
        rest = consume(client, autoCommit="true").json()
        assert [event["value"] for event in rest["events"]] == ALL[RECORDS:]
        assert rest["metadata"]["recordsLost"] == 0
        checks = {check["name"]: check["status"] for check in client.get("/api/health").json()["checks"]}
        assert checks["log_storage"] == "pass"


def test_over_http_one_partition_hides_no_other(tmp_path: Path, server: Start) -> None:
    segments = sealed.write(tmp_path / "data", partitions=2)
    running = server()
    with running.client() as client, sealed.unreadable(segments[0]):
        assert consume(client).status_code == 503
        running.post("/api/v1/streams/orders/events", {"value": "new", "partition": 1}).raise_for_status()
        late = consume(client, offset="latest", autoCommit="true").json()
        assert late["metadata"]["lag"] == 0
        offsets = [{"stream": "orders", "partition": 1, "offset": len(ALL)}]
        client.post("/api/v1/consumers/g/commit", json={"offsets": offsets}).raise_for_status()
        mixed = consume(client, autoCommit="true").json()
        assert [event["value"] for event in mixed["events"]] == ["new"]
        assert list(mixed["metadata"]["unreadable"]) == ["0"]
        assert mixed["metadata"]["nextOffsets"] == {"0": 0, "1": len(ALL) + 1}
        assert committed(client) == {1: len(ALL) + 1}


def test_over_http_damage_is_told(segments: list[Path], server: Start) -> None:
    sealed.damage(segments[1])
    running = server()
    gap = {"partition": 0, "from": RECORDS, "to": 2 * RECORDS}
    with running.client() as client:
        answer = consume(client).json()
        assert [event["value"] for event in answer["events"]] == KEPT
        assert (answer["metadata"]["recordsLost"], answer["metadata"]["gaps"]) == (RECORDS, [gap])
        page = client.get("/api/v1/streams/orders/records")
        assert page.headers["forebay-records-lost"] == str(RECORDS)
        # A poll that waits keeps in mind what it passed.
        nothing = consume(client, filter="offset < 0", timeout=300, autoCommit="true").json()
        assert (nothing["events"], nothing["metadata"]["gaps"]) == ([], [gap])
        assert committed(client) == {0: len(ALL)}
        tail = Tail(running, "orders", "?from=earliest")
        assert [data["value"] for data in tail.messages(len(KEPT))] == KEPT
        assert [data for kind, data in tail.events if kind == "gap"] == [gap | {"reason": "damaged"}]
        behind = next(last for (kind, _), last in zip(tail.events, tail.ids, strict=True) if kind == "gap")
        tail.close()
        resumed = Tail(running, "orders", last=behind)
        assert [data["value"] for data in resumed.messages(RECORDS)] == ALL[2 * RECORDS :]
        resumed.close()


def test_a_tail_waits_for_what_cannot_be_read(segments: list[Path], server: Start) -> None:
    running = server()
    with sealed.unreadable(segments[1]):
        tail = Tail(running, "orders", "?from=earliest")
        tail.messages(RECORDS)
        while tail.comments < 2:
            tail.read()
        assert [data["value"] for data in tail.data()] == ALL[:RECORDS]
    assert [data["value"] for data in tail.messages(len(ALL))] == ALL
    tail.close()


def test_in_the_process_a_failed_read_is_raised_and_nothing_is_skipped(segments: list[Path]) -> None:
    with forebay.open(segments[0].parents[1]) as log:
        consumer = log.consumer("g", "orders")
        with sealed.unreadable(segments[1]):
            assert list(itertools.chain(*consumer.poll())) == ALL[:RECORDS]
            with pytest.raises(errors.StorageUnavailable, match=f"offset {RECORDS} of partition 0"):
                consumer.poll(timeout=5)
            assert consumer.commit() == {0: RECORDS}
            with pytest.raises(errors.StorageUnavailable):
                next(iter(consumer))
            with pytest.raises(errors.StorageUnavailable):
                log.read("orders", RECORDS)
        assert list(itertools.chain(*consumer.poll())) == ALL[RECORDS:]
        assert consumer.commit() == {0: len(ALL)}


def test_in_the_process_damage_is_told(segments: list[Path]) -> None:
    sealed.damage(segments[2])
    with forebay.open(segments[0].parents[1]) as log:
        read = log.read("orders", 0)
        assert (read.records_lost, read.gaps) == (RECORDS, [(LAST, len(ALL))])
        assert log.read("orders", 0, max_records=3).records_lost == 0
        consumer = log.consumer("g", "orders", limit=LAST)
        assert [records.records_lost for records in consumer.poll()] == [0]
        [nothing] = consumer.poll()
        assert (len(nothing), nothing.records_lost, nothing.next_offset) == (0, RECORDS, len(ALL))
        assert consumer.commit() == {0: len(ALL)}

        async def first() -> tuple[int, int]:
            async for records in log.consumer("async", "orders", offset="earliest", filter=f"offset >= {LAST}"):
                return len(records), records.records_lost
            raise AssertionError("it ended")

        assert asyncio.run(asyncio.wait_for(first(), 20)) == (0, RECORDS)
        messages = log.consumer("messages", "orders").messages()
        assert [next(messages).value for _ in range(LAST)] == ALL[:LAST]


def test_the_command_says_what_is_missing(segments: list[Path], server: Start) -> None:
    directory = segments[0].parents[1]
    with sealed.unreadable(segments[1]):
        stuck = run("read", "orders", "--data-dir", directory)
        assert (stuck.returncode, "storage_unavailable" in stuck.stderr) == (1, True)
        assert len(stuck.stdout.splitlines()) == RECORDS
    sealed.damage(segments[1])
    offline = run("read", "orders", "--data-dir", directory)
    running = server()
    online = run("read", "orders", "--url", running.url)
    for read in (offline, online):
        assert read.returncode == 1
        assert [json.loads(line)["value"] for line in read.stdout.splitlines()] == KEPT
        assert f"{RECORDS} offsets have no record that can be read, among offsets " in read.stderr
    undamaged = run("read", "orders", "--url", running.url, "--from", str(LAST), "--partition", "0")
    assert (undamaged.returncode, undamaged.stderr) == (0, "")


def test_failed_reads_are_counted(segments: list[Path], server: Start) -> None:
    running = server()

    def counted() -> bool:
        name = "forebay_segment_failed_reads_total"
        with running.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return any(line.startswith(f"{name} ") and float(line.split()[1]) > 0 for line in lines)

    assert not counted()
    with running.client() as client, sealed.unreadable(segments[0]):
        assert consume(client).status_code == 503
    wait_for("the counter", counted)
