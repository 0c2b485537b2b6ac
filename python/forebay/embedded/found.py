"""What a search of the log found: the engine's answers, and the events in them as log entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from forebay.embedded.conditions import Reading
from forebay.errors import Closed, InvalidRequest

Verbatim = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]
"""An object as it was sent: every digit of its numbers is kept."""

_NULL = msgspec.Raw(b"null")
_EMPTY = msgspec.Raw(b"{}")


class LogEntry(msgspec.Struct):
    """One event of the log. `id` is its `eventId` everywhere else; `request_id` and `user_id` are those of the metadata
    as texts, whatever they were sent as."""

    id: str
    timestamp: str
    level: str
    service: str
    message: str
    request_id: str | None
    user_id: str | None
    project_id: str
    metadata: Verbatim


class FoundEvent(msgspec.Struct, rename="camel"):
    """An event as consumers get it."""

    event_id: str
    partition: int
    offset: int
    timestamp: str
    key: str
    value: msgspec.Raw


class Scanned(msgspec.Struct, rename="camel"):
    """How much a search read. Segments whose times say that nothing matches are skipped."""

    records: int
    bytes: int
    parts: int
    parts_skipped: int
    seconds: float


class _Answer(msgspec.Struct, rename="camel", kw_only=True):
    complete: bool
    stopped_by: str | None
    scanned: Scanned
    records_lost: int


class Page(_Answer, rename="camel", kw_only=True):
    """A page of hits, newest first."""

    hits: list[FoundEvent]
    total: int | None
    total_is_exact: bool
    cursor: str | None


class ValueCount(msgspec.Struct):
    """How many events have a value."""

    value: str
    count: int


class IntervalCount(msgspec.Struct):
    """How many events are in an interval, by its first microsecond since 1970 UTC."""

    start: int
    count: int


class Stats(_Answer, rename="camel", kw_only=True):
    """Counts by a value."""

    groups: list[ValueCount]
    other: int
    total: int


class TimeStats(_Answer, rename="camel", kw_only=True):
    """Counts by time."""

    groups: list[IntervalCount]
    other: int
    total: int

    def every_interval(self, start: int, end: int, interval: int) -> Iterator[tuple[int, int]]:
        """The beginning and the count of each interval of the range, also of those that have nothing."""
        counts = {group.start: group.count for group in self.groups}
        for begin in range(start // interval * interval, end + 1, interval):
            yield begin, counts.get(begin, 0)


class Step(_Answer, rename="camel", kw_only=True):
    """A step through the log in its own order. `expired` counts events that were deleted before they were read."""

    position: Reading
    done: bool
    matched: int
    expired: int


def checked(answer: Page | Stats | TimeStats | Step, matched: int) -> None:
    """Checks that a search has seen everything.

    Raises:
        InvalidRequest: its budget was spent before.
        Closed: it was cancelled.
    """
    if answer.complete:
        return
    if answer.stopped_by in ("cancelled", "closed"):
        raise Closed("the search was ended: its log closes, or whoever asked is gone")
    scanned = answer.scanned
    raise InvalidRequest(
        f"the search is too broad: after {scanned.seconds:.1f} s it had read {scanned.records:,} events of "
        f"{scanned.bytes:,} bytes, found {matched:,}, and was ended; give a shorter time, a service, a level, a "
        "project or rarer words"
    )


class _Value(msgspec.Struct):
    """An event as it was sent; whatever way it came, the engine has checked it."""

    level: str
    service: str
    message: str
    metadata: msgspec.Raw = _NULL


class _Named(msgspec.Struct):
    request_id: msgspec.Raw = _NULL
    user_id: msgspec.Raw = _NULL


def entry(event: FoundEvent) -> LogEntry:
    """The log entry of an event."""
    value = msgspec.json.decode(event.value, type=_Value)
    has_metadata = bytes(value.metadata) != b"null"
    named = msgspec.json.decode(value.metadata, type=_Named) if has_metadata else _Named()
    return LogEntry(
        id=event.event_id,
        timestamp=event.timestamp,
        level=value.level,
        service=value.service,
        message=value.message,
        request_id=_text(named.request_id),
        user_id=_text(named.user_id),
        project_id=event.key,
        metadata=value.metadata if has_metadata else _EMPTY,
    )


def _text(raw: msgspec.Raw) -> str | None:
    """A string, or a number, `true` or `false` as it is written; None for anything else. Searches compare the same."""
    json = bytes(raw)
    if json.startswith(b'"'):
        return msgspec.json.decode(json, type=str)
    return None if json.startswith((b"{", b"[", b"n")) else json.decode()
