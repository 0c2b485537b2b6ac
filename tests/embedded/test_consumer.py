"""`log.consumer`: groups inside the process."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import forebay
from forebay import errors


@pytest.fixture
def log(tmp_path: Path) -> Iterator[forebay.Log]:
    with forebay.open(tmp_path / "data") as opened:
        opened.create_stream("orders", partitions=2)
        yield opened


def fill(log: forebay.Log, partition: int, *values: object) -> None:
    log.append("orders", [forebay.Record(value) for value in values], partition=partition)


def test_polls_go_on_and_commits_last(log: forebay.Log, tmp_path: Path) -> None:
    fill(log, 0, 0, 1, 2)
    fill(log, 1, 10)
    with log.consumer("billing", "orders", limit=2) as consumer:
        first = consumer.poll()
        assert sorted(value for records in first for value in records) == [0, 10]
        assert [list(records) for records in consumer.poll()] == [[1, 2]]
        assert consumer.poll() == []
        assert consumer.commit() == {0: 3, 1: 1}
        assert consumer.commit() == {}
    log.close()
    with forebay.open(tmp_path / "data") as again:
        fill(again, 1, 11)
        assert [list(records) for records in again.consumer("billing", "orders").poll()] == [[11]]


def test_what_is_not_committed_comes_again(log: forebay.Log) -> None:
    fill(log, 0, "a", "b")
    for _ in range(2):
        [records] = log.consumer("billing", "orders").poll()
        assert list(records) == ["a", "b"]
    assert log.consumer("other", "orders", offset="latest").poll() == []


def test_it_waits_for_what_comes(log: forebay.Log) -> None:
    consumer = log.consumer("billing", "orders")
    assert consumer.poll(timeout=0.01) == []
    threading.Timer(0.05, fill, (log, 1, "late")).start()
    [records] = consumer.poll(timeout=20)
    assert list(records) == ["late"]


def test_iterating(log: forebay.Log) -> None:
    fill(log, 0, 1, 2, 3)
    consumer = log.consumer("billing", "orders")
    seen = []
    for message in consumer.messages():
        seen.append((message.partition, message.offset, message.value))
        if message.value == 2:
            assert consumer.commit() == {0: 2}
            break
    assert seen == [(0, 0, 1), (0, 1, 2)]
    for records in log.consumer("billing", "orders"):
        assert list(records) == [3]
        break
    closed = log.consumer("billing", "orders")
    closed.close()
    assert list(closed) == []
    with pytest.raises(errors.Closed):
        closed.poll()


def test_iterating_asynchronously(log: forebay.Log) -> None:
    async def run() -> list[int]:
        consumer = log.consumer("billing", "orders")
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, fill, log, 0, 7, 8)
        async for records in consumer:
            return list(records)
        return []

    assert asyncio.run(asyncio.wait_for(run(), 30)) == [7, 8]


def test_members_share_and_are_fenced(log: forebay.Log) -> None:
    fill(log, 0, "a")
    fill(log, 1, "b")
    one = log.consumer("billing", "orders", member="one")
    assert {records.partition for records in one.poll()} == {0, 1}
    two = log.consumer("billing", "orders", member="two")
    [taken] = two.poll()
    with pytest.raises(errors.FencedMember):
        one.commit()
    [mine] = one.poll()
    assert {mine.partition, taken.partition} == {0, 1}
    assert one.commit() == {mine.partition: 1}
    two.close()
    assert [list(records) for records in one.poll()] == [list(taken)], "what was not committed is given out again"


def test_a_filter(log: forebay.Log) -> None:
    fill(log, 0, *[{"n": n} for n in range(10)])
    consumer = log.consumer("billing", "orders", filter="value.n >= 8")
    assert [list(records) for records in consumer.poll()] == [[{"n": 8}, {"n": 9}]]
    assert log.consumer("other", "orders", filter="value.n > 100").poll(timeout=0.01) == []
    with pytest.raises(errors.InvalidRequest, match="column"):
        log.consumer("billing", "orders", filter="value.n >=")


def test_a_position_that_is_gone(log: forebay.Log) -> None:
    with pytest.raises(errors.StreamNotFound):
        log.consumer("billing", "nothing").poll()
    with pytest.raises(errors.InvalidRequest):
        log.consumer("a/b", "orders").poll()


def test_groups_are_listed_and_deleted(log: forebay.Log) -> None:
    fill(log, 0, 1)
    consumer = log.consumer("billing", "orders")
    consumer.poll()
    consumer.commit()
    [group] = log.groups()
    assert (group.name, group.offsets) == ("billing", [("orders", 0, 1, 1)])
    log.delete_group("billing")
    assert log.groups() == []
    with pytest.raises(errors.ConsumerGroupNotFound):
        log.delete_group("billing")


def test_arrow(log: forebay.Log) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    rows = [forebay.Record({"n": 1}, key="k", headers={"a": "é"}, timestamp=1_000_000), forebay.Record(None)]
    log.append("orders", rows, partition=1)
    table = log.read("orders", 0, partition=1).to_arrow()
    table.validate(full=True)
    assert table.schema.names == ["partition", "offset", "timestamp", "key", "headers", "value"]
    assert table["partition"].to_pylist() == [1, 1]
    assert table["offset"].to_pylist() == [0, 1]
    assert table["timestamp"].cast(pyarrow.int64()).to_pylist()[0] == 1_000_000
    assert table["key"].to_pylist() == [b"k", None]
    assert table["headers"].to_pylist() == ['{"a":"é"}', None]
    assert table["value"].to_pylist() == ['{"n":1}', "null"]
