"""`forebay.open`."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_type_hints

import numpy
import pytest

import forebay
from forebay import errors
from forebay.embedded.options import ENGINE_OPTIONS, EngineOptions
from forebay.embedded.times import TimeUnit


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


def test_each_item_of_a_list_is_a_record(log: forebay.Log) -> None:
    for items in ([1, "a"], (1, "a"), iter([1, "a"]), [forebay.Record(1), "a"]):
        receipt = log.append("orders", items, partition=0)
        assert log.read("orders", receipt.offsets[0])[:] == [1, "a"]
    log.append("orders", forebay.Record([1, 2]), partition=1)
    log.append("orders", {"a": [1, 2]}, partition=1)
    assert list(log.read("orders", 0, partition=1)) == [[1, 2], {"a": [1, 2]}]
    with pytest.raises(errors.InvalidRequest, match="wrap an empty list"):
        log.append("orders", [])


NOT_NUMBERS = [float("nan"), float("inf"), {"a": [None, {"b": -float("inf")}]}, (1.0, float("nan")), {"k": numpy.nan}]


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_what_is_no_json_number_is_refused(log: forebay.Log, value: object) -> None:
    with pytest.raises(errors.InvalidRequest, match="NaN and infinities"):
        log.append("orders", forebay.Record(value))
    assert [log.read("orders", 0, partition=partition)[:] for partition in (0, 1)] == [[], []]


TIMES = [
    (datetime(2024, 5, 31, 15, 30, 45, 123456, tzinfo=UTC), None),
    (datetime(2024, 5, 31, 17, 30, 45, 123456, tzinfo=timezone(timedelta(hours=2))), None),
    (datetime(2024, 5, 31, 15, 30, 45, 123456, tzinfo=UTC).astimezone().replace(tzinfo=None), None),
    (numpy.datetime64("2024-05-31T15:30:45.123456"), None),
    (numpy.datetime64("2024-05-31T15:30:45.123456789"), None),
    (1_717_169_445_123_456, None),
    (1_717_169_445_123_456, "us"),
    (1_717_169_445_123_456_789, "ns"),
    (1_717_169_445_123.456, "ms"),
    (1_717_169_445.123456, "s"),
]


@pytest.mark.parametrize(("time", "unit"), TIMES)
def test_times_of_every_kind(log: forebay.Log, time: Any, unit: TimeUnit | None) -> None:
    log.append("orders", forebay.Record(1, timestamp=time, unit=unit), partition=0)
    [stored] = log.read("orders", 0).timestamps.tolist()
    # A float of seconds has about a quarter of a microsecond.
    assert abs(stored - 1_717_169_445_123_456) <= (1 if isinstance(time, float) else 0)
    assert log.seek("orders", time, unit=unit, partition=0) == {0: 0}


def test_times_before_1970_and_whole_ones_of_coarse_units(log: forebay.Log) -> None:
    for number, unit, wanted in ((-1, "ns", -1), (-1.5, "s", -1_500_000), (13, "s", 13_000_000), (-7, "ms", -7_000)):
        log.append("orders", forebay.Record(1, timestamp=number, unit=unit), partition=0)  # type: ignore[arg-type]
        assert log.read("orders", 0).timestamps.tolist()[-1] == wanted


@pytest.mark.parametrize(
    ("time", "unit", "message"),
    [
        (1.5, None, "unit has to be named"),
        (float("nan"), "s", "is none"),
        (float("inf"), "s", "is none"),
        (1, "h", "none of s, ms, us and ns"),
        (1 << 63, None, "out of the range"),
        (1e30, "s", "out of the range"),
        (True, None, "no time"),
        ("2024-05-31", None, "no time"),
        (numpy.datetime64("NaT"), None, "NaT"),
    ],
)
def test_what_is_no_time_is_refused(log: forebay.Log, time: Any, unit: Any, message: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=message):
        log.append("orders", forebay.Record(1, timestamp=time, unit=unit))
    with pytest.raises(errors.InvalidRequest, match=message):
        log.seek("orders", time, unit=unit)


def test_reading_from_a_time(log: forebay.Log) -> None:
    for partition in (0, 1):
        records = [forebay.Record(n, timestamp=datetime.fromtimestamp(n, UTC)) for n in range(partition, 100, 2)]
        log.append("orders", records, partition=partition)
    assert log.seek("orders", 50, unit="s") == {0: 25, 1: 25}
    since = log.read_since("orders", datetime.fromtimestamp(97, UTC))
    assert [(records.partition, records[:]) for records in since] == [(0, [98]), (1, [97, 99])]
    assert [records[:] for records in log.read_since("orders", 97, unit="s", partition=0)] == [[98]]
    assert log.seek("orders", 100, unit="s") == {0: 50, 1: 50}
    assert log.read_since("orders", 100, unit="s") == []
    with pytest.raises(errors.InvalidRequest, match="no partition"):
        log.seek("orders", 0, partition=2)
    with pytest.raises(errors.StreamNotFound):
        log.seek("nothing", 0)


def test_everything_shows_what_it_is(log: forebay.Log) -> None:
    assert "streams, running" in repr(log)
    assert repr(log.append("orders", [1, 2], partition=0)) == "<Receipt of 2 records, offsets 0 to 1, durability fsync>"
    assert repr(log.read("orders", 0)) == "<Records of partition 0, 2 of them, next offset 2>"
    consumer = log.consumer("g", "orders", member="m")
    assert repr(consumer) == "<Consumer of stream 'orders' in group 'g', member 'm'>"
    consumer.poll()
    consumer.close()
    assert repr(consumer).endswith(", closed>")
    shown = [repr(found) for found in (*log.streams(), *log.groups())]
    assert '<StreamDescription "orders", 2 partitions, 2 records>' in shown
    assert any(text.startswith('<GroupDescription "g", ') for text in shown)
    log.close()
    assert repr(log) == "<Log, closed>"


def test_the_options_are_typed_as_the_settings_are() -> None:
    hints = get_type_hints(forebay.LogOptions)
    assert tuple(hints) == ENGINE_OPTIONS
    # In a process, functions may also be given themselves.
    settings = get_type_hints(EngineOptions) | {"functions": hints["functions"]}
    assert {name: settings[name] for name in hints} == hints


def test_a_message_has_what_its_record_has(log: forebay.Log) -> None:
    log.append("orders", forebay.Record({"n": 1}, key="k", headers={"h": "1"}, timestamp=7), partition=1)
    with log.consumer("g", "orders") as consumer:
        message = next(consumer.messages())
    assert (message.partition, message.offset, message.timestamp) == (1, 0, 7)
    assert (message.key, message.value, message.headers) == (b"k", {"n": 1}, {"h": "1"})


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


def test_a_stream_that_exists_is_left_as_it_is_where_that_is_ok(log: forebay.Log) -> None:
    before = [(row.name, row.partitions, row.compression) for row in log.streams()]
    log.create_stream("orders", partitions=7, exist_ok=True, compression="gzip")
    assert [(row.name, row.partitions, row.compression) for row in log.streams()] == before
    log.create_stream("fresh", partitions=3, exist_ok=True)
    assert len(next(stream for stream in log.streams() if stream.name == "fresh").partitions) == 3
    with pytest.raises(errors.InvalidRequest):
        log.create_stream("orders", exist_ok=True, compression="none of these")


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
        forebay.open(tmp_path / "other", ring_byte=1)  # type: ignore[call-arg]


def test_a_directory_belongs_to_one(log: forebay.Log, tmp_path: Path) -> None:
    with pytest.raises(errors.DirectoryLocked, match="open in this process already; use that log, or close it first"):
        forebay.open(tmp_path / "data")
    program = "import forebay, sys; forebay.open(sys.argv[1])"
    other = subprocess.run([sys.executable, "-c", program, str(tmp_path / "data")], capture_output=True, check=False)
    assert b"belongs to another running process; stop it first" in other.stderr
    log.close()
    forebay.open(tmp_path / "data").close()


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
        assert [stream.name for stream in log.streams()] == ["analytics", "events", "logs"]
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
