"""All events that a search finds, the newest first, in few walks through the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from forebay.embedded.conditions import Conditions, Reading, walk_request
from forebay.embedded.found import FoundEvent, LogEntry, Step, checked, entry
from forebay.embedded.search import SEARCH_SECONDS, interruptible
from forebay.embedded.times import written_time

if TYPE_CHECKING:
    from forebay._forebay import Engine

STEP_BYTES = 4 << 20
"""Of the lines that one step of a walk gives: they are decoded at once."""

KEPT_BYTES = 64 << 20
"""Of the newest events that a walk keeps: beyond it the older ones are found again by another walk. While it walks,
twice as much is held."""

PAGE_EVENTS = 1_000


_DECODER = msgspec.json.Decoder(FoundEvent)


class Place(NamedTuple):
    """Where an event stands among all others; the largest is the newest. `time` is in microseconds since 1970 UTC."""

    time: int
    partition: int
    offset: int


class _Timed(msgspec.Struct):
    timestamp: str = ""


class _Kept(NamedTuple):
    place: Place
    line: bytes


class _Newest:
    """The newest of the events before a place, up to some bytes, and at least one."""

    def __init__(self, before: Place | None) -> None:
        self._before = before
        self._kept: list[_Kept] = []
        self._bytes = 0
        self.is_cut = False
        """There are older ones."""

    def take(self, place: Place, line: bytes) -> None:
        if self._before is not None and place >= self._before:
            return
        self._kept.append(_Kept(place, line))
        self._bytes += len(line)
        if self._bytes > 2 * KEPT_BYTES:
            self._cut()

    def finish(self) -> list[_Kept]:
        self._cut()
        return self._kept

    def _cut(self) -> None:
        self._kept.sort(reverse=True)
        total = 0
        for index, kept in enumerate(self._kept):
            if index and total + len(kept.line) > KEPT_BYTES:
                del self._kept[index:]
                self.is_cut = True
                break
            total += len(kept.line)
        self._bytes = total


def newest_first(engine: Callable[[], Engine], conditions: Conditions) -> Iterator[list[LogEntry]]:
    """All events, a thousand at a time. Each walk looks at everything that the times do not exclude, and keeps the
    newest `KEPT_BYTES`.

    Raises:
        InvalidRequest: the conditions are none that can be searched for, or one step takes too long.
    """
    before = None
    while True:
        newest = _Newest(before)
        _walk(engine, _until(conditions, before), newest)
        found = newest.finish()
        for index in range(0, len(found), PAGE_EVENTS):
            yield [entry(_DECODER.decode(kept.line)) for kept in found[index : index + PAGE_EVENTS]]
        if not newest.is_cut:
            return
        before = found[-1].place


def _walk(engine: Callable[[], Engine], conditions: Conditions, newest: _Newest) -> None:
    """Walks through the log once."""
    position: Reading | None = None
    while True:
        asked = walk_request(conditions, SEARCH_SECONDS, position, STEP_BYTES)
        lines, told = interruptible(engine().search_export, asked)
        for line in filter(None, lines.split(b"\n")):
            newest.take(_place(_DECODER.decode(line)), line)
        step = msgspec.json.decode(told, type=Step)
        if step.done:
            return
        if step.position == position:
            checked(step, 0)
        position = step.position


def _until(conditions: Conditions, before: Place | None) -> Conditions:
    if before is None:
        return conditions
    # The whole millisecond: where an event does not tell the rest, its place has none.
    return msgspec.structs.replace(conditions, end_time=before.time // 1000 * 1000 + 999)


def _place(event: FoundEvent) -> Place:
    """An event's `timestamp` here has milliseconds; the rest is in the one that was sent."""
    shown = written_time(event.timestamp) or 0
    sent = written_time(msgspec.json.decode(event.value, type=_Timed).timestamp)
    is_finer = sent is not None and sent // 1000 * 1000 == shown
    return Place(sent if sent is not None and is_finer else shown, event.partition, event.offset)
