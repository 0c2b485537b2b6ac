"""The keys of Redis, which other programs may read.

With the prefix `forebay`, times in UTC, and shapes in JSON:

| key | type | what it has |
|---|---|---|
| `{forebay}:analytics:events:2026-11-30T20:00Z` | hash | the minutes of that hour: `windowStart` → `EventWindow` |
| `{forebay}:analytics:performance:2026-11-30T20:00Z` | hash | the same, → `PerformanceWindow` |
| `{forebay}:analytics:hours:2026-11-30` | hash | the hours of that day: their start → `HourWindow` |
| `{forebay}:analytics:totals` | hash | `totals`: `Totals`; `updatedAt`, `writer`, `fence`, `sequence` |
| `{forebay}:analytics:index` | sorted set | the keys above with their expiry in milliseconds since 1970 |
| `{forebay}:analytics:lease` | string | `<fence>:<writer>`: who may write, for some seconds |
| `{forebay}:analytics:fence` | string | the number of the last lease |

All but `fence` expire: windows when the last one of their key is older than the retention, the others some time after
the last write. The braces are a hash tag: Redis Cluster keeps all keys in one slot.
"""

from __future__ import annotations

import re
import time

from forebay.cache.cache import Kind
from forebay.cache.shapes import HOUR_MS
from forebay.errors import ConfigError

DEFAULT_PREFIX = "forebay"

DAY_MS = 24 * HOUR_MS

_PREFIX = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def checked_prefix(prefix: str) -> str:
    """The prefix, which may stand between the braces of a hash tag.

    Raises:
        ConfigError: it may not.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ConfigError(f"cache_prefix is {prefix!r}; use 1 to 64 of A-Z a-z 0-9 . _ : -")
    return prefix


class Layout:
    """The names of all keys with one prefix."""

    def __init__(self, prefix: str = DEFAULT_PREFIX) -> None:
        """
        Raises:
            ConfigError: the prefix has characters that keys may not have.
        """
        self.prefix = checked_prefix(prefix)
        self._start = f"{{{prefix}}}:analytics:"
        self.totals = f"{self._start}totals"
        self.index = f"{self._start}index"
        self.lease = f"{self._start}lease"
        self.fence = f"{self._start}fence"

    def windows(self, kind: Kind, start_ms: int) -> str:
        """The hash that has the window which starts then."""
        form = "%Y-%m-%d" if kind is Kind.HOURS else "%Y-%m-%dT%H:00Z"
        return f"{self._start}{kind.value}:{time.strftime(form, time.gmtime(start_ms // 1000))}"

    def between(self, first_ms: int, last_ms: int) -> list[str]:
        """Every hash that has windows which start from `first_ms` to `last_ms`."""
        return [
            self.windows(kind, start)
            for kind in Kind
            for start in range(key_start(kind, first_ms), last_ms + 1, span_ms(kind))
        ]

    def is_windows(self, key: str) -> bool:
        """Whether it is the key of a hash of windows."""
        return key.startswith(tuple(f"{self._start}{kind.value}:" for kind in Kind))


def span_ms(kind: Kind) -> int:
    """The time that the windows of one key take up: an hour of minutes, a day of hours."""
    return DAY_MS if kind is Kind.HOURS else HOUR_MS


def key_start(kind: Kind, start_ms: int) -> int:
    """The start of the first window of the key that has this one."""
    return start_ms - start_ms % span_ms(kind)
