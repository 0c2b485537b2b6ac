"""Moments as the server takes them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RECENT_NS = 1_000_000
"""`Clock.recently` says the same for this long."""

NOW_SECONDS = 60.0
"""A moment this near counts as now: some formats have no seconds, and zones are 15 minutes apart at least."""

FORMS = "give ISO 8601, as 2024-05-31T15:30:45Z, a datetime, or seconds since 1970 UTC"
"""What stands at the end of each refusal of a moment."""

SHOWN = 64
"""Characters that a refusal shows of a text: more than any moment has."""

MILLISECOND = timedelta(milliseconds=1)

_FRACTION_OF_MINUTES = re.compile(r"[ T][0-9]{2}:[0-9]{2}[.,]")


class Clock:
    """Tells the time in RFC 3339. The date is formatted once a second: the rest is a fraction of the price."""

    __slots__ = ("_cached", "_recent")

    def __init__(self) -> None:
        # One object, replaced whole: threads need no lock for it, and a clock that jumps changes the second.
        self._cached = (-1, "")
        self._recent = (0, "")

    def now(self) -> str:
        """This moment in microseconds."""
        return self.at(time.time_ns() // 1000)

    def recently(self) -> str:
        """This moment, or one that is less than a millisecond ago, for a fifth of the price."""
        ticks = time.monotonic_ns()
        until, told = self._recent
        if ticks >= until:
            told = self.now()
            self._recent = (ticks + RECENT_NS, told)
        return told

    def at(self, micros: int) -> str:
        """A moment in microseconds since 1970 UTC."""
        second, micros = divmod(micros, 1_000_000)
        cached, prefix = self._cached
        if cached != second:
            prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._cached = (second, prefix)
        return f"{prefix}{micros:06d}Z"


def moment(given: str | datetime | float) -> datetime:
    """A moment in UTC. A number is seconds since 1970 UTC. One rule for all without a zone, texts and `datetime`s:
    local time, as everywhere in Python.

    Raises:
        ValueError: it is none, or not of the years 1 to 9999.
        TypeError: it is nothing of these.
    """
    if isinstance(given, str):
        given = _read(given)
    try:
        if isinstance(given, datetime):
            return given.astimezone(UTC)
        if isinstance(given, bool):
            raise TypeError
        return datetime.fromtimestamp(given, UTC)
    except (OverflowError, OSError, ValueError):
        raise ValueError(f"timestamp is {given!r}, no moment of the years 1 to 9999; {FORMS}") from None
    except TypeError:
        raise TypeError(f"timestamp is of type {type(given).__name__}; {FORMS}") from None


def local_or_utc(given: str | datetime | float) -> datetime:
    """Like `moment`, for what was made just now: without a zone, and now in UTC, it is UTC."""
    if isinstance(given, str):
        given = _read(given)
    if isinstance(given, datetime) and given.tzinfo is None:
        as_utc = given.replace(tzinfo=UTC)
        if abs(as_utc.timestamp() - time.time()) < NOW_SECONDS:
            return as_utc
    return moment(given)


def rfc3339(given: str | datetime | float) -> str:
    """A text with a zone, or one that is not ISO 8601, is the server's to judge."""
    if isinstance(given, str):
        if given.endswith("Z"):
            return given
        try:
            if _read(given).tzinfo is not None:
                return given
        except ValueError:
            return given
    return written(moment(given))


def written(moment: datetime) -> str:
    """A moment in UTC, in RFC 3339 with microseconds."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def millis(given: str | datetime | float) -> int:
    """Milliseconds since 1970 UTC. Raises ValueError for a text that is no moment."""
    return (moment(given) - EPOCH) // MILLISECOND


def _read(text: str) -> datetime:
    """Raises ValueError for what is not ISO 8601. Python takes a fraction behind the minutes for one of seconds."""
    if _FRACTION_OF_MINUTES.search(text):
        raise ValueError(f"timestamp is {text[:SHOWN]!r}, which has a fraction without seconds")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"timestamp is {text[:SHOWN]!r}; {FORMS}") from None
