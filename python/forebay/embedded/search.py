"""`log.search`: the events that were drained, by full text and fields."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from forebay._forebay import SearchCancel
from forebay.embedded.conditions import (
    MAX_PAGE,
    Conditions,
    CountBy,
    interval_for,
    page_request,
    stats_request,
    with_range,
)
from forebay.embedded.decoding import decode
from forebay.embedded.found import LogEntry, Page, Stats, TimeStats, checked, entry
from forebay.errors import InvalidRequest

if TYPE_CHECKING:
    from forebay._forebay import Engine

T = TypeVar("T")

SEARCH_SECONDS = 60.0
"""The longest time that one page or count takes; the engine allows no more."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_SHOWN_CHARACTERS = 60


@dataclass(slots=True, frozen=True, repr=False)
class Hit:
    """One event that a search found.

    Attributes:
        id: its `eventId`, everywhere the same.
        entry: all of it as the server's answers have it; `entry.metadata` is the JSON that was sent.
    """

    entry: LogEntry

    @property
    def id(self) -> str:
        return self.entry.id

    @property
    def timestamp(self) -> datetime:
        """The event's time in UTC, in whole milliseconds."""
        return datetime.fromisoformat(self.entry.timestamp)

    @property
    def level(self) -> str:
        return self.entry.level

    @property
    def service(self) -> str:
        return self.entry.service

    @property
    def message(self) -> str:
        return self.entry.message

    @property
    def project_id(self) -> str:
        return self.entry.project_id

    @property
    def request_id(self) -> str | None:
        """`metadata.request_id` as text."""
        return self.entry.request_id

    @property
    def user_id(self) -> str | None:
        """`metadata.user_id` as text."""
        return self.entry.user_id

    @property
    def metadata(self) -> dict[str, Any]:
        """The decoded metadata; empty when the event has none.

        Raises:
            Malformed: Python cannot hold it; see `forebay.embedded.decoding`.
        """
        found: dict[str, Any] = decode(bytes(self.entry.metadata))
        return found

    def __repr__(self) -> str:
        each = self.entry
        return f"<Hit {each.timestamp} {each.level} {each.service}: {_begun(each.message)}>"


@dataclass(slots=True, frozen=True)
class Counts:
    """How many events a search finds, by something.

    Attributes:
        groups: the number of events of each value, the largest first; by time, of each interval by its beginning, in
            order and also where it is 0.
        other: events without a value, and those of the values beyond the thousand that are counted.
        total: all events, exactly.
    """

    groups: dict[str, int] | dict[datetime, int]
    other: int
    total: int


class Search(Iterable[Hit]):
    """The events that a search finds, the newest first: by their time, and where that is equal in the order of the log.

    Nothing is read before it is needed. Each iteration is a search of its own, which reads on by the hundred; what
    comes meanwhile does not shift it. A page or a count that takes more than a minute raises `InvalidRequest`.
    """

    def __init__(self, engine: Callable[[], Engine], conditions: Conditions, limit: int | None) -> None:
        self._engine = engine
        self._conditions = conditions
        self._limit = limit

    def __iter__(self) -> Iterator[Hit]:
        for found in pages(self._engine, self._conditions, self._limit):
            yield from map(Hit, found)

    @cached_property
    def total(self) -> int:
        """How many events there are, exactly and whatever `limit` is, when this is first asked."""
        return self.stats("level").total

    def stats(self, by: CountBy, *, interval: timedelta | None = None) -> Counts:
        """Counts the events by level, service, project or time, whatever `limit` is.

        Args:
            interval: of `by="time"`, at most a thousand of them; about a hundred by default. Without an `until` the
                last one is now, without a `since` the first is a day before.

        Raises:
            InvalidRequest
        """
        if by == "time":
            return self._by_time(interval)
        if interval is not None:
            raise InvalidRequest('an interval goes with by="time"')
        found = counted_by(self._engine, self._conditions, by)
        return Counts({group.value: group.count for group in found.groups}, found.other, found.total)

    def _by_time(self, interval: timedelta | None) -> Counts:
        conditions, start, end = with_range(self._conditions, time.time_ns() // 1000)
        length = interval_for(start, end) if interval is None else interval // timedelta(microseconds=1)
        found = counted_by_time(self._engine, conditions, length)
        try:
            every = {
                _EPOCH + timedelta(microseconds=begin): count
                for begin, count in found.every_interval(start, end, length)
            }
        except OverflowError:
            raise InvalidRequest("the times of a count have to be of the years 1 to 9999") from None
        return Counts(every, found.other, found.total)

    def __repr__(self) -> str:
        given = msgspec.to_builtins(self._conditions)
        told = [repr(given.pop("query"))] if "query" in given else []
        told += [f"{name}={value!r}" for name, value in given.items() if name != "metadata"]
        told += [f"{each.path}{each.operator}{each.value}" for each in self._conditions.metadata]
        return f"<Search {', '.join(told) or 'for everything'}>"


def pages(engine: Callable[[], Engine], conditions: Conditions, limit: int | None = None) -> Iterator[list[LogEntry]]:
    """The pages of a search, each read when it is asked for."""
    left, cursor = limit, None
    while left is None or left > 0:
        wanted = MAX_PAGE if left is None else min(left, MAX_PAGE)
        asked = page_request(conditions, SEARCH_SECONDS, limit=wanted, cursor=cursor, count=False)
        page = _answered(engine().search, asked, Page)
        checked(page, len(page.hits))
        yield list(map(entry, page.hits))
        cursor, left = page.cursor, None if left is None else left - len(page.hits)
        if cursor is None:
            return


def counted_by(engine: Callable[[], Engine], conditions: Conditions, by: CountBy) -> Stats:
    """The counts by a value."""
    found = _answered(engine().search_stats, stats_request(conditions, SEARCH_SECONDS, by), Stats)
    checked(found, found.total)
    return found


def counted_by_time(engine: Callable[[], Engine], conditions: Conditions, interval: int) -> TimeStats:
    """The counts by time, which has both ends; `interval` in microseconds."""
    asked = stats_request(conditions, SEARCH_SECONDS, "time", interval)
    found = _answered(engine().search_stats, asked, TimeStats)
    checked(found, found.total)
    return found


A = TypeVar("A", Page, Stats, TimeStats)


def _answered(search: Callable[[bytes, bytes, SearchCancel], bytes], asked: bytes, shape: type[A]) -> A:
    return msgspec.json.decode(interruptible(search, asked), type=shape)


def interruptible(search: Callable[[bytes, bytes, SearchCancel], T], asked: bytes) -> T:
    """Runs a search on another thread, so that ^C ends it: Python looks for signals between two calls."""
    cancel = SearchCancel()
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(search(asked, b"", cancel))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="forebay-search")
    thread.start()
    try:
        thread.join()
    except BaseException:
        cancel.cancel()
        thread.join()
        raise
    if failed:
        raise failed[0]
    return done[0]


def _begun(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
