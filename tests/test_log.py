"""`forebay.open`."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

import forebay
from forebay import errors


@pytest.fixture
def log(tmp_path: Path) -> Iterator[forebay.Log]:
    with forebay.open(tmp_path / "data") as opened:
        opened.create_stream("orders", partitions=2)
        yield opened


def test_one_value(log: forebay.Log) -> None:
    receipt = log.append("orders", {"id": 1})
    records = log.read("orders", receipt.offsets[0], partition=receipt.partitions[0])
    assert list(records) == [{"id": 1}]
    assert receipt.durability == "fsync"


def test_many_records_are_one_receipt(log: forebay.Log) -> None:
    many = [forebay.Record({"n": n}, key=f"k{n}", headers={"h": str(n)}, timestamp=n) for n in range(50)]
    receipt = log.append("orders", many, partition=1)
    assert (receipt.partitions, receipt.offsets) == ([1] * 50, list(range(50)))
    records = log.read("orders", 0, partition=1)
    assert (len(records), records.partition, records.next_offset) == (50, 1, 50)
    assert records[3] == records[3 - 50] == {"n": 3}
    assert records[1:3] == [{"n": 1}, {"n": 2}]
    assert records.raw(7) == b'{"n":7}'
    assert records.key(7) == b"k7"
    assert records.headers(7) == {"h": "7"}
    with pytest.raises(IndexError):
        records[50]


def test_a_list_is_a_value_unless_it_holds_records(log: forebay.Log) -> None:
    log.append("orders", [1, 2], partition=0)
    assert list(log.read("orders", 0)) == [[1, 2]]


def test_offsets_and_timestamps_are_views(log: forebay.Log) -> None:
    log.append("orders", [forebay.Record(n, timestamp=1_000_000 * n) for n in range(5)], partition=0)
    records = log.read("orders", 2)
    assert records.offsets.dtype == records.timestamps.dtype == numpy.int64
    assert records.offsets.tolist() == [2, 3, 4]
    assert records.timestamps.view("datetime64[us]")[0] == numpy.datetime64("1970-01-01T00:00:02")
    assert not records.offsets.flags.owndata
    assert not records.offsets.flags.writeable
    offsets = records.offsets
    del records
    assert offsets.tolist() == [2, 3, 4]


def test_reads_are_bounded(log: forebay.Log) -> None:
    log.append("orders", [forebay.Record("x" * 100) for _ in range(100)], partition=0)
    assert len(log.read("orders", 0, max_records=7)) == 7
    assert 1 <= len(log.read("orders", 0, max_bytes=500)) < 10
    assert len(log.read("orders", 0, max_bytes=1)) == 1
    assert len(log.read("orders", 100)) == 0


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "é\n\u2028", [], {}, {"a": {"b": [1, None]}}, "x" * 100_000])
def test_values_come_back_as_they_were(log: forebay.Log, value: object) -> None:
    log.append("orders", forebay.Record(value), partition=0)
    assert log.read("orders", 0)[0] == value


def test_keys_choose_the_partition(log: forebay.Log) -> None:
    receipt = log.append("orders", [forebay.Record(n, key=f"k{n % 10}") for n in range(100)])
    by_key: dict[int, set[int]] = {}
    for number, partition in enumerate(receipt.partitions):
        by_key.setdefault(number % 10, set()).add(partition)
    assert all(len(partitions) == 1 for partitions in by_key.values())
    assert set(receipt.partitions) == {0, 1}


def test_errors_have_their_classes(log: forebay.Log, tmp_path: Path) -> None:
    with pytest.raises(errors.StreamNotFound, match="nothing"):
        log.append("nothing", 1)
    with pytest.raises(errors.StreamNotFound):
        log.read("nothing", 0)
    with pytest.raises(errors.StreamAlreadyExists):
        log.create_stream("orders")
    with pytest.raises(errors.InvalidOffset):
        log.read("orders", 1)
    with pytest.raises(errors.InvalidRequest):
        log.append("orders", 1, partition=2)
    with pytest.raises(errors.InvalidRequest):
        log.read("orders", 0, partition=2)
    with pytest.raises(errors.InvalidRequest, match="cannot be written as JSON"):
        log.append("orders", object())
    with pytest.raises(errors.InvalidRequest):
        log.append("orders", [])
    with pytest.raises(errors.InvalidRequest, match="unknown option"):
        forebay.open(tmp_path / "other", ring_byte=1)


def test_a_directory_belongs_to_one(log: forebay.Log, tmp_path: Path) -> None:
    with pytest.raises(errors.DirectoryLocked):
        forebay.open(tmp_path / "data")


def test_closed_means_closed(tmp_path: Path) -> None:
    log = forebay.open(tmp_path / "data")
    log.close()
    log.close()
    with pytest.raises(errors.Closed):
        log.append("logs", 1)
    with forebay.open(tmp_path / "data"):
        pass


def test_it_is_there_after_opening_again(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data", durability="memory") as log:
        log.create_stream("orders")
        assert log.append("orders", {"a": 1}).durability == "memory"
    with forebay.open(tmp_path / "data") as log:
        assert list(log.read("orders", 0)) == [{"a": 1}]


def test_read_only_refuses_to_write(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data") as log:
        log.create_stream("orders")
        log.append("orders", 1)
    with forebay.open(tmp_path / "data", read_only=True) as log:
        assert list(log.read("orders", 0)) == [1]
        with pytest.raises(errors.StorageUnavailable):
            log.append("orders", 2)


def test_stats_and_streams(log: forebay.Log) -> None:
    log.append("orders", [forebay.Record(n) for n in range(3)], partition=1)
    [orders] = [stream for stream in log.streams() if stream.name == "orders"]
    assert orders.partitions == [(0, 0), (0, 3)]
    assert orders.ring_bytes > 0
    assert not orders.builtin
    assert log.stats()["mode"] == "running"


def test_appends_from_many_threads_are_all_there(log: forebay.Log) -> None:
    def work(worker: int) -> None:
        for number in range(50):
            log.append("orders", forebay.Record([worker, number]), partition=0)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [tuple(value) for value in log.read("orders", 0)]
    assert sorted(found) == [(worker, number) for worker in range(8) for number in range(50)]
    for worker in range(8):
        assert [number for who, number in found if who == worker] == list(range(50))


def test_streams_are_changed_and_deleted(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data") as log:
        log.create_stream("orders", partitions=2, compression="gzip", retention_ms=0)
        log.append("orders", 1)
        log.alter_stream("orders", max_record_bytes=3)
        [orders] = [stream for stream in log.streams() if stream.name == "orders"]
        assert (orders.compression, orders.retention_ms, orders.max_record_bytes) == ("gzip", 0, 3)
        with pytest.raises(errors.PayloadTooLarge):
            log.append("orders", 1234)
        log.delete_stream("orders")
        assert [stream.name for stream in log.streams()] == ["logs"]
        with pytest.raises(errors.StreamNotFound):
            log.delete_stream("orders")
        with pytest.raises(errors.StreamNotFound):
            log.alter_stream("orders", retention_ms=1)
        for options in ({"retention_ms": -1}, {"retention_ms": "x"}, {"colour": 1}, {"compression": "rar"}):
            with pytest.raises(errors.InvalidRequest):
                log.create_stream("other", **options)
        with pytest.raises(errors.Forbidden):
            log.delete_stream("logs")


def test_streams_are_limited_in_all(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data", max_streams=1, max_partitions=3) as log:
        with pytest.raises(errors.StreamLimitReached, match="max_partitions"):
            log.create_stream("wide", partitions=4)
        log.create_stream("orders", partitions=3)
        with pytest.raises(errors.StreamLimitReached, match="max_streams"):
            log.create_stream("other")
    with forebay.open(tmp_path / "data", max_streams=1, max_partitions=1) as log:
        log.append("orders", {"still": "there"})
