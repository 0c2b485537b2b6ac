"""All that a search finds, in few walks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import forebay
from forebay import errors
from forebay.embedded import whole
from forebay.embedded.conditions import Conditions
from forebay.embedded.whole import newest_first

BEGIN = datetime(2025, 12, 4, 12, 0, tzinfo=UTC)
COUNT = 700


def logged(number: int, micros: int) -> dict[str, object]:
    time = (BEGIN + timedelta(microseconds=micros)).isoformat()
    return {
        "project_id": f"p{number % 7}",
        "timestamp": time,
        "level": "info",
        "service": "api",
        "message": f"event {number} {'even' if number % 2 == 0 else 'odd'}",
        "metadata": {"n": number, "text": "a\rb\u2028c"},
    }


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[forebay.Log]:
    source = random.Random(1)
    with forebay.open(tmp_path_factory.mktemp("whole") / "data") as opened:
        # Some within a millisecond, some of one microsecond, in no order.
        opened.append("logs", [logged(number, source.randrange(3_000)) for number in range(COUNT)])
        yield opened


def found(log: forebay.Log, conditions: Conditions) -> list[str]:
    return [entry.id for page in newest_first(lambda: log._engine, conditions) for entry in page]


@pytest.mark.parametrize("kept", [1, 5_000, 50_000, whole.KEPT_BYTES])
def test_the_order_is_that_of_pages_however_much_is_kept(
    log: forebay.Log, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "KEPT_BYTES", kept)
    monkeypatch.setattr(whole, "STEP_BYTES", 2_000)
    query = "99" if kept == 1 else "even"
    ids = found(log, Conditions(query=query))
    assert ids == [hit.id for hit in log.search(query)]
    assert len(ids) == (1 if kept == 1 else COUNT // 2)


def test_a_range_of_times(log: forebay.Log) -> None:
    start = int(BEGIN.timestamp()) * 1_000_000
    ids = found(log, Conditions(start_time=start + 700, end_time=start + 1_999))
    assert ids == [hit.id for hit in log.search(since=start + 700, until=start + 1_999)]
    assert 0 < len(ids) < COUNT
    assert found(log, Conditions(query="nowhere")) == []


def test_what_cannot_be_searched_for(log: forebay.Log) -> None:
    with pytest.raises(errors.InvalidRequest, match="query"):
        found(log, Conditions(query="/(/"))


def test_an_empty_log(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data") as log:
        assert found(log, Conditions()) == []
