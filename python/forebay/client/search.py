"""`client.search`: finds the log events of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal, TypeVar

import msgspec

from forebay.client.clock import rfc3339
from forebay.client.encoding import TimestampLike
from forebay.client.search_requests import Requests, interval_text, parameters
from forebay.client.transport import Target

CountBy = Literal["level", "service", "project_id", "time"]
"""Says what found events are counted by."""

T = TypeVar("T")

PAGE_EVENTS = 100
"""The most that a server answers with at once."""


class Hit(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One event that a search found.

    Attributes:
        id: its `eventId`, everywhere the same.
        timestamp: the event's time in UTC, in whole milliseconds.
        request_id, user_id: those of the metadata as texts, or None.
        json: the metadata as the JSON that was sent.
    """

    id: str
    timestamp: datetime
    level: str
    service: str
    message: str
    project_id: str
    request_id: str | None
    user_id: str | None
    json: msgspec.Raw = msgspec.field(name="metadata")

    @property
    def metadata(self) -> dict[str, Any]:
        """The decoded metadata; empty when the event has none.

        Raises:
            ValueError: Python cannot hold it, as a number beyond all floats; `json` has it.
        """
        found: dict[str, Any] = msgspec.json.decode(self.json)
        return found


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


class _Pagination(msgspec.Struct):
    next_cursor: str | None


class _Page(msgspec.Struct):
    logs: list[Hit]
    pagination: _Pagination


class _PageAnswer(msgspec.Struct):
    data: _Page


class _Value(msgspec.Struct):
    value: str
    count: int


class _Interval(msgspec.Struct):
    start: datetime
    count: int


class _Counted(msgspec.Struct):
    other: int
    total: int
    groups: list[_Value] = []
    intervals: list[_Interval] = []


class _CountsAnswer(msgspec.Struct):
    data: _Counted


@dataclass(frozen=True, slots=True)
class Conditions:
    """Says what a search asks one server for.

    Args:
        asked: names and values of the query string.
        limit: the most hits of an iteration.
    """

    target: Target
    asked: tuple[tuple[str, str], ...]
    limit: int | None

    def pages(self, requests: Requests) -> Iterator[list[Hit]]:
        """The pages, each asked for when it is wanted."""
        left, cursor = self.limit, None
        while left is None or left > 0:
            # Without a count a page ends as soon as it is full.
            more = {"count": "false", "limit": str(PAGE_EVENTS if left is None else min(left, PAGE_EVENTS))}
            if cursor is not None:
                more["cursor"] = cursor
            found = requests.get("", (*self.asked, *more.items()), _PageAnswer).data
            yield found.logs
            cursor, left = found.pagination.next_cursor, None if left is None else left - len(found.logs)
            if cursor is None:
                return

    def counts(self, requests: Requests, by: CountBy, interval: timedelta | None) -> Counts:
        more: list[tuple[str, str]] = [("by", by)]
        if interval is not None:
            more.append(("interval", interval_text(interval)))
        found = requests.get("/stats", (*self.asked, *more), _CountsAnswer).data
        groups: dict[str, int] | dict[datetime, int] = {each.value: each.count for each in found.groups}
        if by == "time":
            groups = {each.start: each.count for each in found.intervals}
        return Counts(groups, found.other, found.total)


class Search(Iterable[Hit]):
    """The events that a search finds, the newest first: by their time, and where that is equal in the order of the log.

    Nothing is asked before it is needed. Each iteration is a search of its own on a connection of its own, which reads
    on by the hundred; what comes meanwhile does not shift it, and `for` may be left at any time.

    Raises, when something is asked:
        TokenRefused: the server refuses the token, or it has not the role `ops`.
        SearchFailed: the search is refused, or too broad, or there is no answer in time.
    """

    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions

    def __iter__(self) -> Iterator[Hit]:
        with Requests(self.conditions.target) as requests:
            for page in self.conditions.pages(requests):
                yield from page

    @cached_property
    def total(self) -> int:
        """How many events there are, exactly and whatever `limit` is, when this is first asked."""
        return self.stats("level").total

    def stats(self, by: CountBy, *, interval: timedelta | None = None) -> Counts:
        """Counts the events by level, service, project or time, whatever `limit` is.

        Args:
            interval: of `by="time"`, in whole seconds, at most a thousand of them; about a hundred by default. Without
                an `until` the last one is now, without a `since` the first is a day before.

        Raises:
            ValueError: an interval of something else than time, or none that can be asked for.
        """
        _check_interval(by, interval)
        with Requests(self.conditions.target) as requests:
            return self.conditions.counts(requests, by, interval)


class AsyncSearch:
    """Like `Search`, with `async for` and methods to await. Answers are awaited by a thread: the loop never waits. What
    is cancelled leaves its thread to the end of the request under way."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions

    async def __aiter__(self) -> AsyncIterator[Hit]:
        with Requests(self._conditions.target) as requests:
            pages = self._conditions.pages(requests)
            while (page := await _in_a_thread(requests, lambda: next(pages, None))) is not None:
                for hit in page:
                    yield hit

    async def total(self) -> int:
        """How many events there are, exactly and whatever `limit` is."""
        return (await self.stats("level")).total

    async def stats(self, by: CountBy, *, interval: timedelta | None = None) -> Counts:
        """Does what `Search.stats` does."""
        _check_interval(by, interval)
        with Requests(self._conditions.target) as requests:
            return await _in_a_thread(requests, lambda: self._conditions.counts(requests, by, interval))


def conditions_of(
    target: Target,
    query: str,
    *,
    level: str | None,
    service: str | None,
    since: TimestampLike | None,
    until: TimestampLike | None,
    project_id: str | None,
    request_id: str | None,
    user_id: str | None,
    where: str | Iterable[str],
    limit: int | None,
) -> Conditions:
    """What the arguments of `Client.search` ask for.

    Raises:
        ValueError, TypeError: an argument is none that can be asked for.
    """
    if limit is not None and limit < 0:
        raise ValueError(f"limit is {limit}, must not be negative")
    given = {
        "query": query or None,
        "level": level,
        "service": service,
        "project_id": project_id,
        "request_id": request_id,
        "user_id": user_id,
        "start_time": None if since is None else rfc3339(since),
        "end_time": None if until is None else rfc3339(until),
    }
    return Conditions(target, tuple(parameters(given, where)), limit)


def _check_interval(by: CountBy, interval: timedelta | None) -> None:
    if interval is not None and by != "time":
        raise ValueError('an interval goes with by="time"')


async def _in_a_thread(requests: Requests, call: Callable[[], T]) -> T:
    """Runs what asks a server. When it is cancelled, no further try is made, and the thread closes the connection."""
    try:
        return await asyncio.to_thread(call)
    except asyncio.CancelledError:
        requests.stop()
        raise
