"""Converts the times of a program to microseconds since 1970 UTC."""

from __future__ import annotations

import math
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
