"""NDJSON lines into batches, one event a line."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from forebay.client.endpoint import endpoint_of

BATCH_EVENTS = 500
"""More events a request gain nothing: the server takes 500 as cheaply as 10,000."""

BATCH_BYTES = 1 << 20
"""Bytes of events in a request. One event that is larger goes alone."""

LINE_BYTES = 16 << 20
"""A longer line cannot be an event: no server takes a larger body by default. It is rejected without being held."""

DRAIN = endpoint_of("drain")


class _Event(msgspec.Struct):
    """The members that every server asks of an event; the rest is the server's to judge."""

    project_id: str
    timestamp: str
    level: str
    service: str
    message: str


_MISSING = re.compile(r"Object missing required field `(.*)`")
"""Said as the server says it of an event."""

_DECODER = msgspec.json.Decoder(_Event)


class Lines(Protocol):
    """Where lines come from: a `Source`, or a `GrowingFile`."""

    @property
    def position(self) -> int:
        """Bytes of the input that are read, or passed over."""

    def readline(self, limit: int, /) -> bytes: ...


@dataclass(slots=True, frozen=True)
class Line:
    number: int
    """From 1."""
    text: bytes
    """Without its line end."""
    end: int
    """The position in the input after it."""


@dataclass(slots=True, frozen=True)
class Rejection:
    """A line that is not stored, and why."""

    line: Line
    reason: str


@dataclass(slots=True)
class Batch:
    """Lines that go in one request. The key is made once, so that a retry is stored once."""

    lines: list[Line]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def body(self) -> bytes:
        return DRAIN.body([line.text for line in self.lines])

    def index_at(self, byte: int) -> int | None:
        """Returns the line that has this byte of the body."""
        end = DRAIN.body([]).index(b"[") + 1
        for index, line in enumerate(self.lines):
            end += len(line.text) + 1
            if byte < end:
                return index
        return None


class Reader:
    """Batches of at most `BATCH_EVENTS` and `BATCH_BYTES`, and each line that cannot be an event. Blank lines are
    skipped. `number` lines of the input were read before."""

    def __init__(self, source: Lines, number: int = 0) -> None:
        self._source = source
        self.held: list[Line] = []
        """Read, and not in a batch yet."""
        self.last = number
        """The number of the last line read, be it blank."""

    def __iter__(self) -> Iterator[Batch | Rejection]:
        size = 0
        for found in self._lines():
            line = found.line if isinstance(found, Rejection) else found
            if isinstance(found, Rejection):
                yield found
            elif reason := _not_an_event(line.text):
                yield Rejection(line, reason)
            else:
                if self.held and (len(self.held) == BATCH_EVENTS or size + len(line.text) > BATCH_BYTES):
                    full, self.held, size = Batch(self.held), [line], 0
                    yield full
                else:
                    self.held.append(line)
                size += len(line.text) + 1
        if self.held:
            last, self.held = Batch(self.held), []
            yield last

    def _lines(self) -> Iterator[Line | Rejection]:
        while text := self._source.readline(LINE_BYTES + 1):
            self.last += 1
            if len(text) > LINE_BYTES:
                start = text[:1024]
                while text and not text.endswith(b"\n"):
                    text = self._source.readline(LINE_BYTES)
                line = Line(self.last, start, self._source.position)
                yield Rejection(line, f"longer than {LINE_BYTES} bytes; only its start is kept")
            elif text := text.strip(b" \t\r\n"):
                yield Line(self.last, text, self._source.position)


def _not_an_event(text: bytes) -> str:
    """Why a line cannot be an event; empty when it may be one. A line that is not one whole JSON object could take
    its neighbours with it."""
    try:
        _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        why = str(error) or type(error).__name__
        missing = _MISSING.fullmatch(why)
        return f"{missing[1]}: missing" if missing else why
    return ""
