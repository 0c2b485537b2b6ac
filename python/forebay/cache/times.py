"""The clock, and times as the engine writes them."""

from __future__ import annotations

import time


def now_ms() -> int:
    """The wall clock, in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def rfc3339(milliseconds: int) -> str:
    """Milliseconds since 1970 UTC in RFC 3339, with three digits of a second."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"
