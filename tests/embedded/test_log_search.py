"""`log.search`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy
import pytest

import forebay
from forebay import errors
from forebay.embedded.conditions import Condition, interval_for
from forebay.embedded.times import written_time

BEGIN = datetime(2025, 12, 4, 12, 0, tzinfo=UTC)
COUNT = 250


def logged(number: int) -> dict[str, object]:
    return {
        "project_id": f"p{number % 3}",
        "timestamp": (BEGIN + timedelta(seconds=number)).isoformat(),
        "level": ("info", "Warning", "error", "warn", "debug")[number % 5],
        "service": f"s{number % 2}",
        "message": f"event {number} of many",
        "metadata": {"n": number, "user_id": number % 4, "request_id": f"r{number}", "deep": {"er": number / 2}},
    }


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[forebay.Log]:
    with forebay.open(tmp_path_factory.mktemp("search") / "data") as opened:
        opened.append("logs", [logged(number) for number in range(COUNT)])
        yield opened


def numbers(search: forebay.Search) -> list[int]:
    return [hit.metadata["n"] for hit in search]


def test_a_hit(log: forebay.Log) -> None:
    [hit] = log.search('"event 17 of" many')
    assert hit.id.startswith("evt_")
    assert hit.timestamp == BEGIN + timedelta(seconds=17)
    assert (hit.level, hit.service, hit.message, hit.project_id) == ("error", "s1", "event 17 of many", "p2")
    assert (hit.request_id, hit.user_id) == ("r17", "1")
    assert hit.metadata == {"n": 17, "user_id": 1, "request_id": "r17", "deep": {"er": 8.5}}
    assert repr(hit) == "<Hit 2025-12-04T12:00:17.000Z error s1: event 17 of many>"


def test_all_of_them_the_newest_first(log: forebay.Log) -> None:
    search = log.search()
    assert numbers(search) == list(reversed(range(COUNT)))
    assert numbers(search) == list(reversed(range(COUNT))), "again"
    assert search.total == COUNT
    assert numbers(log.search(limit=103)) == list(reversed(range(COUNT - 103, COUNT)))
    assert numbers(log.search(limit=0)) == []
    assert log.search(limit=3).total == COUNT


FILTERS: list[tuple[dict[str, Any], Any]] = [
    ({"query": "nothing"}, lambda n: False),
    ({"level": "WARN"}, lambda n: n % 5 in (1, 3)),
    ({"service": "s1"}, lambda n: n % 2 == 1),
    ({"project_id": "p1"}, lambda n: n % 3 == 1),
    ({"request_id": "r7"}, lambda n: n == 7),
    ({"user_id": "2"}, lambda n: n % 4 == 2),
    ({"where": "n>=240"}, lambda n: n >= 240),
    ({"where": ["n>10", "metadata.deep.er<=7"]}, lambda n: 10 < n <= 14),
    ({"where": ["n=12"]}, lambda n: n == 12),
    ({"since": BEGIN + timedelta(seconds=245)}, lambda n: n >= 245),
    ({"until": BEGIN + timedelta(seconds=4)}, lambda n: n <= 4),
    ({"since": numpy.datetime64("2025-12-04T12:00:03"), "until": numpy.datetime64("2025-12-04T12:00:05")},
     lambda n: 3 <= n <= 5),
    ({"since": BEGIN.timestamp() + 240, "unit": "s"}, lambda n: n >= 240),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "matches"), FILTERS, ids=[str(list(given)) for given, _ in FILTERS])
def test_each_filter(log: forebay.Log, arguments: dict[str, Any], matches: Any) -> None:
    search = log.search(**arguments)
    expected = [number for number in reversed(range(COUNT)) if matches(number)]
    assert numbers(search) == expected
    assert search.total == len(expected)


def test_pages_are_read_when_they_are_needed(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data") as log:
        log.append("logs", [logged(number) for number in range(COUNT)])
        hits = iter(log.search())
        first = [next(hits).metadata["n"] for _ in range(150)]
        log.append("logs", [logged(number) for number in (COUNT + 5, COUNT + 6)])
        assert first + [hit.metadata["n"] for hit in hits] == list(reversed(range(COUNT)))
        assert log.search().total == COUNT + 2


def test_counts(log: forebay.Log) -> None:
    search = log.search(where="n<200")
    assert search.stats("level") == forebay.Counts({"warn": 80, "debug": 40, "error": 40, "info": 40}, 0, 200)
    assert search.stats("project_id").groups == {"p0": 67, "p1": 67, "p2": 66}
    assert list(search.stats("service").groups) == ["s0", "s1"]
    times = log.search(since=BEGIN, until=BEGIN + timedelta(seconds=99))
    halves = times.stats("time", interval=timedelta(seconds=50)).groups
    assert sum(halves.values()) == 100
    assert list(halves) == [BEGIN + timedelta(seconds=seconds) for seconds in (0, 50)]
    assert list(halves.values()) == [50, 50]
    assert len(times.stats("time").groups) == 100
    assert log.search(until=BEGIN).stats("time").total == 1
    assert log.search().stats("time").total == 0, "the last day"


def test_what_cannot_be_searched_for(log: forebay.Log) -> None:
    for arguments, why in (
        ({"since": BEGIN, "until": BEGIN - timedelta(seconds=1)}, "start is after its end"),
        ({"where": "n"}, "no condition on metadata"),
        ({"since": 1.5}, "its unit has to be named"),
        ({"limit": -1}, "must not be negative"),
    ):
        with pytest.raises(errors.InvalidRequest, match=why):
            log.search(**arguments)
    with pytest.raises(errors.InvalidRequest, match="the phrase does not end"):
        list(log.search('"open'))
    with pytest.raises(errors.InvalidRequest, match="must have 1 to 1024 bytes"):
        list(log.search(level=""))
    with pytest.raises(errors.InvalidRequest, match='goes with by="time"'):
        log.search().stats("level", interval=timedelta(seconds=1))
    with pytest.raises(errors.InvalidRequest, match="must be given, in microseconds above 0"):
        log.search().stats("time", interval=timedelta())


def test_a_repr_says_what_is_looked_for(log: forebay.Log) -> None:
    search = log.search("a b", level="error", where=["n>=5", "x.y=z"])
    assert repr(search) == "<Search 'a b', level='error', n>=5, x.y=z>"
    assert repr(log.search()) == "<Search for everything>"


def test_a_closed_log_is_not_searched(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data") as log:
        log.append("logs", [logged(number) for number in range(COUNT)])
        search = log.search()
        hits = iter(search)
        next(hits)
    with pytest.raises(errors.Closed):
        list(hits)
    with pytest.raises(errors.Closed):
        search.total  # noqa: B018


def test_a_read_only_log_is_searched(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data") as log:
        log.append("logs", [logged(number) for number in range(10)])
    with forebay.open(tmp_path / "data", read_only=True) as log:
        assert numbers(log.search("event")) == list(reversed(range(10)))


CONDITIONS = [
    ("status>=500", Condition("status", ">=", "500")),
    ("metadata.a.b=x=y", Condition("a.b", "=", "x=y")),
    ("x>5", Condition("x", ">", "5")),
    ("x>5=", Condition("x", ">", "5")),
    ("x<==5", Condition("x", "<=", "5")),
    (" x <= 5 ", Condition("x", "<=", "5")),
    ("x= 5 ", Condition("x", "=", " 5 ")),
]


@pytest.mark.parametrize(("text", "condition"), CONDITIONS)
def test_conditions_as_they_are_written(text: str, condition: Condition) -> None:
    assert Condition.parse(text) == condition


TIMES = [
    ("2024-05-31T15:30:45Z", 1_717_169_445_000_000),
    ("2024-05-31 15:30:45.123456789+00", 1_717_169_445_123_456),
    ("20240531T153045,5-0130", 1_717_174_845_500_000),
    ("2024-05-31t15:30", 1_717_169_400_000_000),
    ("2024-05-31", 1_717_113_600_000_000),
    ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
    ("0001-01-01T00:00+23:59", -62_135_683_140_000_000),
    ("9999-12-31T23:59:59.999999-23", 253_402_383_599_999_999),
]


@pytest.mark.parametrize(("text", "micros"), TIMES)
def test_times_as_events_have_them(text: str, micros: int) -> None:
    assert written_time(text) == micros


def test_other_texts_are_no_times() -> None:
    for text in ("", "now", "2024-02-30", "0000-01-01", "2024-05-31T24:00", "2024-05-31T15:60", "2024-05-31T15:30:61",
                 "2024-0531", "2024-05-31T15:30+24", " 2024-05-31", "2024-05-31T1530:45", "٢٠٢٤-05-31"):  # fmt: skip
        assert written_time(text) is None, text


def test_intervals_are_few_enough_to_look_at() -> None:
    for seconds in (0, 1, 59, 3600, 86400, 30 * 86400, 365 * 86400, 3000 * 365 * 86400):
        interval = interval_for(0, seconds * 1_000_000)
        assert seconds * 1_000_000 // interval <= 120
