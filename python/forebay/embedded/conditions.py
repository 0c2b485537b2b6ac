"""What a search of the log asks for, as the engine takes it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from forebay.errors import InvalidRequest

CountBy = Literal["level", "service", "project_id", "time"]
"""Says what found events are counted by."""

Lines = Literal["json", "csv", "txt"]
"""How a walk through the log writes the events that it finds."""

MAX_RESULT_WINDOW = 10_000
"""The most hits that an offset and a limit reach over; the engine enforces it. A cursor goes on from any place."""

MAX_PAGE = 100
"""The most hits of a page; the engine enforces it."""

MAX_BUCKETS = 1_000
"""The most intervals of a count by time; the engine enforces it."""

METADATA = "metadata."

Operator = Literal["=", ">", ">=", "<", "<="]

_CONDITION = re.compile(r"([^=<>]+)(>=|<=|=|>|<)(.*)", re.DOTALL)
_OPERATORS: dict[str, Operator] = {"=": "=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
_SHOWN_CHARACTERS = 100


class Condition(msgspec.Struct, frozen=True, rename={"operator": "is"}):
    """A condition on one value of the metadata: the names on the way to it with dots between them, and what it is
    compared with. `=` compares texts, and numbers as they are written; the others compare numbers."""

    path: str
    operator: Operator
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Reads `status>=500`, also with `metadata.` before it.

        An `=` more than there should be is forgiven where no number can begin or end with one: programs that encode
        names and values of a query string apart cannot help it.

        Raises:
            InvalidRequest: it is none.
        """
        found = _CONDITION.fullmatch(text.removeprefix(METADATA))
        if found is None:
            shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
            raise InvalidRequest(f"{shown!r} is no condition on metadata; write it like status>=500 or user.plan=free")
        path, operator, value = found[1].strip(), _OPERATORS[found[2]], found[3]
        return cls(path, operator, value if operator == "=" else value.strip("= "))


class Conditions(msgspec.Struct, omit_defaults=True):
    """What an event has to be for a search to find it: all of it. Times are microseconds since 1970 UTC, both ends
    included; `projects` are the only ones that may be seen."""

    query: str = ""
    level: str | None = None
    service: str | None = None
    project_id: str | None = None
    projects: tuple[str, ...] | None = None
    start_time: int | None = None
    end_time: int | None = None
    request_id: str | None = None
    user_id: str | None = None
    metadata: tuple[Condition, ...] = ()

    def check(self) -> None:
        """
        Raises:
            InvalidRequest: the times are the wrong way round.
        """
        if self.start_time is not None and self.end_time is not None and self.start_time > self.end_time:
            raise InvalidRequest("the search's start is after its end, so nothing can be between them")


class _Budget(msgspec.Struct):
    seconds: float


class _Page(msgspec.Struct):
    conditions: Conditions
    offset: int
    limit: int
    cursor: str | None
    count: bool
    budget: _Budget


class _Stats(msgspec.Struct):
    conditions: Conditions
    by: CountBy
    interval: int | None
    budget: _Budget


class Reading(msgspec.Struct):
    """Where a walk through the log in its own order is: the stream's identity, the next offset of each partition, and
    the offset after the last one that is read."""

    stream: int
    next: list[int]
    end: list[int]


class _Export(msgspec.Struct):
    conditions: Conditions
    position: Reading | None
    max_bytes: int
    format: Lines
    budget: _Budget


def conditions_of(where: str | Iterable[str]) -> tuple[Condition, ...]:
    """The conditions of these texts, or of one."""
    return tuple(map(Condition.parse, [where] if isinstance(where, str) else where))


def whole_millisecond(end: int) -> int:
    """The end of a range of times, which includes its millisecond: answers show no finer times, and who gives back the
    time of an event means that event as well."""
    return end + 999 if end % 1000 == 0 else end


def page_request(
    conditions: Conditions,
    seconds: float,
    *,
    limit: int,
    offset: int = 0,
    cursor: str | None = None,
    count: bool = True,
) -> bytes:
    """The request for a page of hits, newest first."""
    return msgspec.json.encode(_Page(conditions, offset, limit, cursor, count, _Budget(seconds)))


def stats_request(conditions: Conditions, seconds: float, by: CountBy, interval: int | None = None) -> bytes:
    """The request for counts; `interval` in microseconds, for those by time."""
    return msgspec.json.encode(_Stats(conditions, by, interval, _Budget(seconds)))


def walk_request(
    conditions: Conditions, seconds: float, position: Reading | None, max_bytes: int, lines: Lines = "json"
) -> bytes:
    """The request for a step in the order of the log; without a position for the first one."""
    return msgspec.json.encode(_Export(conditions, position, max_bytes, lines, _Budget(seconds)))


_SECOND = 1_000_000
_STEPS = tuple(
    seconds * _SECOND for seconds in (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400)
)
_FEW = 120
"""As many columns as a chart shows well."""

DEFAULT_SPAN = 24 * 3600 * _SECOND
"""The time that is counted when its beginning is not given."""


def interval_for(start: int, end: int) -> int:
    """The length of intervals, in microseconds, of which a range of times has not too many to look at."""
    for step in _STEPS:
        if (end - start) // step < _FEW:
            return step
    days = -(-(end - start) // (_FEW * _STEPS[-1]))
    return days * _STEPS[-1]


def with_range(conditions: Conditions, now: int) -> tuple[Conditions, int, int]:
    """The conditions with both ends of their time, and these: without an end it is now, without a start a day before
    the end."""
    end = conditions.end_time
    if end is None:
        end = max(now, conditions.start_time or now)
    start = conditions.start_time
    if start is None:
        start = end - DEFAULT_SPAN
    return msgspec.structs.replace(conditions, start_time=start, end_time=end), start, end
