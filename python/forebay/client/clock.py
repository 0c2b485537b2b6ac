"""Moments as the server takes them."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Tells the time in RFC 3339. The date is formatted once a second: the rest is a fraction of the price."""

    __slots__ = ("_cached",)

    def __init__(self) -> None:
        # One object, replaced whole: threads need no lock for it, and a clock that jumps changes the second.
        self._cached = (-1, "")

    def now(self) -> str:
        """This moment in microseconds."""
        return self.at(time.time_ns() // 1000)

    def at(self, micros: int) -> str:
        """A moment in microseconds since 1970 UTC."""
        second, micros = divmod(micros, 1_000_000)
        cached, prefix = self._cached
        if cached != second:
            prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._cached = (second, prefix)
        return f"{prefix}{micros:06d}Z"


def rfc3339(moment: str | datetime | float) -> str:
    """A text is the server's to judge; a number is seconds since 1970 UTC; a `datetime` without a zone is local time,
    as everywhere in Python."""
    if isinstance(moment, str):
        return moment
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def millis(moment: str | datetime | float) -> int:
    """Milliseconds since 1970 UTC. Raises ValueError for a text that is no moment."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if isinstance(moment, datetime):
        moment = moment.timestamp()
    return int(moment * 1000)
