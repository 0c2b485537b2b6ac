"""Dead letters of `log.processors`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

import forebay
from forebay import errors
from forebay.processors.shapes import DeadLetter
from support.harness import wait_for

START = datetime(2025, 1, 15, 10, tzinfo=UTC)
PRICED = forebay.pipeline("priced", source="orders").map("price").sink("prices")


class Price:
    """A function that fails where there is no amount, until it is mended."""

    def __init__(self) -> None:
        self.is_mended = False

    def function(self) -> forebay.Function:
        @forebay.function("price")
        def price(orders: list[Any]) -> list[Any]:
            if self.is_mended:
                return [{"id": order["id"], "price": 2 * order.get("amount", 0)} for order in orders]
            return [{"id": order["id"], "price": 2 * order["amount"]} for order in orders]

        return price


@pytest.fixture
def price() -> Price:
    return Price()


@pytest.fixture
def log(tmp_path: Path, price: Price) -> Iterator[forebay.Log]:
    with forebay.open(tmp_path / "log", functions=[price.function()]) as log:
        log.create_stream("orders")
        yield log


def order(number: int, **more: object) -> forebay.Record:
    return forebay.Record({"id": number, **more}, key=f"o{number}", timestamp=START + timedelta(seconds=number))


def letters(log: forebay.Log, count: int, name: str = "priced") -> list[DeadLetter]:
    """Those that wait, once there are so many in all."""
    wait_for(f"{count} dead letters", lambda: log.processors.metrics(name).metrics.dead_letters == count)
    return log.processors.dead_letters(name).dead_letters


def prices(log: forebay.Log, count: int) -> list[Any]:
    wait_for(f"{count} prices", lambda: len(log.read("prices", 0)) == count)
    return [value["id"] for value in log.read("prices", 0)]


def test_they_are_listed_with_why_and_where_they_came_from(log: forebay.Log) -> None:
    log.processors.create(PRICED)
    assert log.processors.dead_letters("priced").dead_letters == []
    assert log.processors["priced"].degraded is None
    log.append("orders", [order(0), order(1, amount=1), order(2), order(3)])
    first = letters(log, 3)[0]
    assert datetime.fromisoformat(first.failed_at) > START
    assert (first.offset, first.error, first.operation) == (0, "KeyError: 'amount'", "operations[0]")
    assert (first.source, first.source_partition, first.source_offset) == ("orders", 0, 0)
    assert (first.key, first.value, first.timestamp) == ("o0", {"id": 0}, "2025-01-15T10:00:00.000Z")
    every = log.processors.dead_letters("priced")
    assert (every.stream, every.waiting, every.replaying, every.next_offset) == ("priced.dead-letter", 3, 0, None)
    assert [letter.source_offset for letter in every.dead_letters] == [0, 2, 3]
    two = log.processors.dead_letters("priced", limit=2)
    assert ([letter.offset for letter in two.dead_letters], two.next_offset) == ([0, 1], 2)
    rest = log.processors.dead_letters("priced", offset=2)
    assert ([letter.offset for letter in rest.dead_letters], rest.next_offset) == ([2], None)
    for degraded in (log.processors["priced"].degraded, log.processors.metrics("priced").degraded):
        assert degraded == "operations[0]: KeyError: 'amount'"


def test_a_number_that_only_json_has_is_listed_too(log: forebay.Log) -> None:
    log.processors.create(PRICED)
    log.append("orders", forebay.Record({"id": msgspec.Raw(b"1e400")}))
    [letter] = letters(log, 1)
    assert letter.value == {"id": float("inf")}


def test_a_replay_goes_through_this_processor_and_leaves_the_source_as_it_is(log: forebay.Log, price: Price) -> None:
    log.processors.create(PRICED)
    log.processors.create(forebay.pipeline("copies", source="orders").filter("value.id >= 0").sink("copied"))
    log.append("orders", [order(0), order(1, amount=1), order(2), order(3)])
    letters(log, 3)
    price.is_mended = True
    assert log.processors.replay("priced", through=0) == 1
    assert prices(log, 2) == [1, 0]
    assert log.read("prices", 0).key(1) == b"o0"
    # What was replayed is neither listed nor replayed again.
    assert [letter.offset for letter in letters(log, 3)] == [1, 2]
    assert log.processors.replay("priced", through=0) == 0
    assert log.processors.replay("priced") == 2
    assert prices(log, 4) == [1, 0, 2, 3]
    wait_for("the end", lambda: log.processors.dead_letters("priced").waiting == 0)
    assert (len(log.read("orders", 0)), len(log.read("copied", 0))) == (4, 4)
    assert log.processors["priced"].metrics.events_processed == 4


def test_one_that_fails_again_is_a_new_one(log: forebay.Log) -> None:
    log.processors.create(PRICED)
    log.append("orders", [order(0), order(1)])
    before = letters(log, 2)
    assert log.processors.replay("priced") == 2
    after = letters(log, 4)
    assert [letter.offset for letter in after] == [2, 3]
    assert [letter.source_offset for letter in after] == [letter.source_offset for letter in before]


def test_one_whose_window_is_closed_is_late(log: forebay.Log, price: Price) -> None:
    counts = PRICED.window.tumbling(seconds=10).aggregate("count").late_to("late").sink("prices")
    log.processors.create(counts)
    log.append("orders", [order(0, amount=1), order(1), order(10, amount=1), order(11)])
    wait_for("the first window", lambda: len(log.read("prices", 0)) == 1)
    letters(log, 2)
    price.is_mended = True
    assert log.processors.replay("priced") == 2
    wait_for("the late one", lambda: log.processors.metrics("priced").metrics.late_events == 1)
    assert [value["id"] for value in log.read("late", 0)] == [1]
    log.append("orders", order(20, amount=1))
    wait_for("the second window", lambda: len(log.read("prices", 0)) == 2)
    assert [value["count"] for value in log.read("prices", 0)] == [1, 2]


def test_those_that_are_dropped_are_gone_for_good_and_stay_in_their_stream(tmp_path: Path, price: Price) -> None:
    with forebay.open(tmp_path / "log", functions=[price.function()]) as log:
        log.create_stream("orders")
        log.processors.create(PRICED)
        assert log.processors.drop_dead_letters("priced") == 0
        log.append("orders", [order(0), order(1), order(2)])
        letters(log, 3)
        assert log.processors.drop_dead_letters("priced", through=1) == 2
        # A processor that is paused drops them, too.
        log.processors.pause("priced")
    with forebay.open(tmp_path / "log", functions=[price.function()]) as log:
        assert [letter.offset for letter in log.processors.dead_letters("priced").dead_letters] == [2]
        assert log.processors.drop_dead_letters("priced") == 1
        assert log.processors.dead_letters("priced").waiting == 0
        assert len(log.read("priced.dead-letter", 0)) == 3


def test_what_cannot_be_is_refused(log: forebay.Log) -> None:
    processors = log.processors
    for unknown in (processors.dead_letters, processors.replay, processors.drop_dead_letters):
        with pytest.raises(errors.ProcessorNotFound):
            unknown("priced")
    processors.create(PRICED)
    for limit in (-1, 0, 1001, 1 << 64):
        with pytest.raises(errors.InvalidRequest, match="limit"):
            processors.dead_letters("priced", limit=limit)
    for offset in (-1, 1 << 64):
        with pytest.raises(errors.InvalidRequest, match="offset is "):
            processors.dead_letters("priced", offset=offset)
        for change in (processors.replay, processors.drop_dead_letters):
            with pytest.raises(errors.InvalidRequest, match="through is "):
                change("priced", through=offset)
    processors.pause("priced")
    with pytest.raises(errors.Conflict, match="it is paused; resume it first"):
        processors.replay("priced")
    log.close()
    with pytest.raises(errors.Closed):
        processors.dead_letters("priced")
