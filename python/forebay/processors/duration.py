"""Lengths of time, which definitions have in whole milliseconds."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from forebay.errors import InvalidRequest

MILLISECOND = timedelta(milliseconds=1)

UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))
"""Units that durations are shown in, the largest first."""


class Units(TypedDict, total=False):
    """A duration by its units, which add up: `hours=1, minutes=30`."""

    milliseconds: float
    seconds: float
    minutes: float
    hours: float
    days: float


def milliseconds(name: str, duration: timedelta) -> int:
    """The duration in milliseconds. `name` is what errors call it.

    Raises:
        InvalidRequest: it is not a timedelta, or not a whole number of milliseconds.
    """
    if not isinstance(duration, timedelta):
        raise InvalidRequest(f"{name} is {duration!r}, which is not a datetime.timedelta")
    whole, rest = divmod(duration, MILLISECOND)
    if rest:
        raise InvalidRequest(f"{name} is {duration}, which is not a whole number of milliseconds")
    return whole


def chosen(name: str, duration: timedelta | None, units: Units) -> int:
    """A duration that is given as a timedelta or by its units, in milliseconds.

    Raises:
        InvalidRequest: both are given or neither, or `milliseconds` refuses it.
    """
    if (duration is None) == (not units):
        raise InvalidRequest(f"{name} takes one duration: a timedelta, or units such as minutes=5")
    return milliseconds(name, timedelta(**units) if duration is None else duration)


def shown(millis: int) -> str:
    """The duration in the largest unit of which it is a whole number: `5 min`, `1500 ms`."""
    for name, size in UNITS:
        if millis >= size and millis % size == 0:
            return f"{millis // size} {name}"
    return f"{millis} ms"
