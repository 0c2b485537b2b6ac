"""What waits to be written, and what one script takes of it."""

from __future__ import annotations

from forebay.cache.cache import Kind
from forebay.cache.redis import pending
from forebay.cache.redis.layout import DAY_MS, Layout
from forebay.cache.redis.pace import BURST_CALLS, CALLS_PER_SECOND, Pace
from forebay.cache.redis.pending import MAX_HASHES, MAX_REMOVED, Pending
from forebay.cache.redis.scripts import HASH_CALLS, WRITE_CALLS
from forebay.cache.shapes import HOUR_MS, MINUTE_MS
from forebay.cache.views import Window

NOON = 1_796_068_800_000 + 16 * HOUR_MS
"""2026-12-01T12:00Z."""


def minutes(count: int, body: bytes = b"{}") -> list[Window]:
    return [Window(Kind.EVENTS, NOON - number * MINUTE_MS, body) for number in range(count)]


def test_the_newest_hours_go_first_and_each_once() -> None:
    waits = Pending(Layout(), DAY_MS)
    waits.add(minutes(1440))
    seen: list[int] = []
    while not waits.is_empty:
        batch = waits.next()
        assert len(batch.hashes) <= MAX_HASHES
        seen += [start for row in batch.hashes for start in row.waiting]
        waits.written(batch)
    assert len(seen) == len(set(seen)) == 1440
    assert sorted({start // HOUR_MS for start in seen}, reverse=True) == list(
        dict.fromkeys(start // HOUR_MS for start in seen)
    )
    assert len(waits) == 0


def test_what_failed_waits_on_with_its_newest_body() -> None:
    waits = Pending(Layout(), DAY_MS)
    waits.add(minutes(1, b"1"))
    waits.next()
    waits.add(minutes(1, b"2"))
    (row,) = waits.next().hashes
    assert list(row.waiting.values()) == [b"2"]


def test_a_batch_has_a_bound_in_bytes() -> None:
    waits = Pending(Layout(), DAY_MS)
    waits.add(minutes(600, b"x" * (pending.MAX_BYTES // 50)))
    assert len(waits.next().hashes) < 3


def test_a_new_holder_removes_what_is_not_its_own() -> None:
    layout = Layout()
    waits = Pending(layout, DAY_MS)
    own = layout.windows(Kind.EVENTS, NOON)
    foreign = [layout.windows(Kind.HOURS, NOON - number * DAY_MS) for number in range(MAX_REMOVED + 1)]
    waits.restart(minutes(1), [own, *foreign, foreign[0]])
    batch = waits.next()
    assert batch.removed == foreign[:MAX_REMOVED]
    assert [(row.key, row.replace) for row in batch.hashes] == [(own, True)]
    waits.written(batch)
    assert waits.next().removed == foreign[MAX_REMOVED:]
    assert not waits.is_empty


def test_hashes_that_redis_forgot_are_not_looked_for() -> None:
    waits = Pending(Layout(), HOUR_MS)
    waits.add(minutes(1))
    waits.written(waits.next())
    assert len(waits.settled(NOON)) == 1
    assert waits.settled(NOON + 2 * HOUR_MS) == []


def test_the_pace_bounds_every_second() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    largest = WRITE_CALLS + MAX_HASHES * HASH_CALLS
    assert largest <= BURST_CALLS, "or a batch would wait for ever"
    sent: list[tuple[float, int]] = []
    while now < 10:
        wait = pace.wait(largest)
        if not wait:
            sent.append((now, largest))
        now += wait
    for at, _ in sent:
        assert sum(calls for when, calls in sent if at <= when < at + 1) < CALLS_PER_SECOND + BURST_CALLS + 1
    assert len(sent) * largest >= 0.9 * CALLS_PER_SECOND * 10
