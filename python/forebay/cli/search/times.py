"""Times on a command line."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import click

from forebay.embedded.times import microseconds, written_time

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile("([0-9]{1,9})([smhdw])")
_YEARS = range(microseconds(datetime(1, 1, 1, tzinfo=UTC)), microseconds(datetime.max.replace(tzinfo=UTC)) + 1)


class When(click.ParamType[int]):
    """A time, or how long ago it was, as microseconds since 1970 UTC."""

    name = "time|ago"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value)
        ago = _AGO.fullmatch(text)
        if ago is not None:
            found: int | None = time.time_ns() // 1000 - int(ago[1]) * _SECONDS[ago[2]] * 1_000_000
        else:
            found = written_time(text)
        if found is None or found not in _YEARS:
            self.fail(
                f"{text!r} is neither a time like 2025-12-04T12:15:30Z nor an age like 30s, 15m, 1h, 2d", param, ctx
            )
        return found


def rfc3339(micros: int) -> str:
    """The time in UTC, with microseconds."""
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19] + f".{rest:06}Z"
