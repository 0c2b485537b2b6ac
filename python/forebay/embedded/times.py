"""Converts the times of a program to microseconds since 1970 UTC."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from forebay.errors import InvalidRequest

if TYPE_CHECKING:
    import numpy

TimeUnit = Literal["s", "ms", "us", "ns"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PER_MICROSECOND: dict[TimeUnit, tuple[int, int]] = {
    "s": (1_000_000, 1),
    "ms": (1_000, 1),
    "us": (1, 1),
    "ns": (1, 1_000),
}
_INT64 = range(-(1 << 63), 1 << 63)
_TIME = re.compile(
    r"(?P<year>[0-9]{4})(?P<dash>-?)(?P<month>[0-9]{2})(?P=dash)(?P<day>[0-9]{2})"
    r"(?:[Tt ](?P<hour>[0-9]{2})(?P<colon>:?)(?P<minute>[0-9]{2})"
    r"(?:(?P=colon)(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<zone_hour>[0-9]{2})(?::?(?P<zone_minute>[0-9]{2}))?)?)?"
)
_NUMBERS = frozenset({"year", "month", "day", "hour", "minute", "second", "zone_hour", "zone_minute"})


def microseconds(time: int | float | datetime | numpy.datetime64, unit: TimeUnit | None = None) -> int:
    """A time in microseconds since 1970 UTC; finer digits are cut off.

    A datetime without a zone is local time. A whole number is in `unit`, by default microseconds; a float needs a unit,
    since seconds and milliseconds are both common.

    Raises:
        InvalidRequest: the argument is not a time, is out of the range of 64 bits, or is a float without a unit.
    """
    if isinstance(time, datetime):
        found = (time.astimezone(UTC) - _EPOCH) // _MICROSECOND
    elif isinstance(time, int | float) and not isinstance(time, bool):
        found = _scaled(time, unit)
    else:
        found = _numpy_time(time)
    if found not in _INT64:
        raise InvalidRequest(f"the time {time!r} is out of the range of 64-bit microseconds")
    return found


def _scaled(time: int | float, unit: TimeUnit | None) -> int:
    if isinstance(time, float):
        if unit is None:
            raise InvalidRequest(f"the time {time!r} is a float, so its unit has to be named: s, ms, us or ns")
        if not math.isfinite(time):
            raise InvalidRequest(f"the time {time!r} is none")
    factors = _PER_MICROSECOND.get(unit or "us")
    if factors is None:
        raise InvalidRequest(f"the unit {unit!r} of a time is none of s, ms, us and ns")
    times, parts = factors
    return math.floor(time * times / parts) if isinstance(time, float) else time * times // parts


def _numpy_time(time: object) -> int:
    import numpy

    if not isinstance(time, numpy.datetime64):
        raise InvalidRequest(f"{time!r} is no time: give a datetime, a numpy.datetime64, or a number and its unit")
    if numpy.isnat(time):
        raise InvalidRequest("the time is numpy's NaT, which is none")
    return int(time.astype("datetime64[us]").astype(numpy.int64))


def written_time(text: str) -> int | None:
    """A time as people and programs write it, in microseconds since 1970 UTC: RFC 3339, ISO 8601 or SQL, as events have
    it; without a zone it is UTC. None for any other text."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    number = {name: int(digits or 0) for name, digits in found.groupdict().items() if name in _NUMBERS}
    if number["second"] > 60 or number["zone_hour"] > 23 or number["zone_minute"] > 59:
        return None
    try:
        date = datetime(number["year"], number["month"], number["day"], number["hour"], number["minute"], tzinfo=UTC)
    except ValueError:
        return None
    zone = (number["zone_hour"] * 60 + number["zone_minute"]) * (-1 if found["sign"] == "-" else 1)
    fraction = int((found["fraction"] or "0").ljust(6, "0")[:6])
    # Whole numbers, since a zone may move a time out of the years that Python has. Second 60, of a minute with a leap
    # second, is the first of the next one.
    return (date - _EPOCH) // _MICROSECOND + (number["second"] - zone * 60) * 1_000_000 + fraction
