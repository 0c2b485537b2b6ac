"""The kinds of windows that event time is cut into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Generic, TypeVar, Unpack

from forebay.processors.duration import Units, chosen, milliseconds

P = TypeVar("P")


class Windows(Generic[P]):
    """Windows `[start, end)` of event time. A duration is a timedelta, or given by its units: milliseconds, seconds,
    minutes, hours and days, which add up.

    Each method raises `InvalidRequest` for a duration that is missing or not of whole milliseconds.
    """

    __slots__ = ("_then",)

    def __init__(self, then: Callable[[Mapping[str, object]], P]) -> None:
        """`then` makes a pipeline with the operation that it is given."""
        self._then = then

    def tumbling(self, duration: timedelta | None = None, /, **units: Unpack[Units]) -> P:
        """One window after the other, aligned to 1970 UTC: `tumbling(minutes=5)`."""
        return self._window("tumbling", duration=chosen("tumbling()", duration, units))

    def sliding(self, duration: timedelta | None = None, /, *, every: timedelta, **units: Unpack[Units]) -> P:
        """Windows that overlap, of which one begins at each multiple of `every`, which is at most the duration:
        `sliding(minutes=5, every=timedelta(minutes=1))`."""
        length = chosen("sliding()", duration, units)
        return self._window("sliding", duration=length, slide=milliseconds("every", every))

    def session(self, gap: timedelta | None = None, **units: Unpack[Units]) -> P:
        """The records of a key that are less than `gap` apart: `session(minutes=30)`. A session ends `gap` after its
        last record, and its result is written one gap later, since a record may still join it to the next."""
        return self._window("session", gap=chosen("session()", gap, units))

    def _window(self, kind: str, **durations: int) -> P:
        return self._then({"type": "window", "windowType": kind, **durations})
