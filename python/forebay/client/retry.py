"""When to try again."""

from __future__ import annotations

import random
import re
import time
from email.utils import parsedate_to_datetime

BACKOFF_SECONDS = 0.1
BACKOFF_LIMIT_SECONDS = 10.0
"""Waits are drawn from 0 to the backoff, which doubles with each try: "full jitter" of Marc Brooker, "Exponential
Backoff And Jitter", AWS Architecture Blog, 2015."""

RETRY_AFTER_LIMIT_SECONDS = 300.0
"""A server that asks for a longer wait is asked again after this."""

RETRIED = frozenset({408, 429})
"""And every 5xx. What other 4xx say stays so."""


_random = random.SystemRandom()
"""Not the program's generator, which it may have seeded, and which after a fork from C two processes have."""


def is_retried(status: int) -> bool:
    return status in RETRIED or status >= 500


def backoff(attempt: int) -> float:
    """Seconds to wait before try `attempt` + 1."""
    return _random.uniform(0, min(BACKOFF_LIMIT_SECONDS, BACKOFF_SECONDS * 2.0 ** min(attempt, 32)))


def retry_after(value: str | None) -> float:
    """The seconds that `Retry-After` (RFC 9110, 10.2.3) asks for, given as such or as a date; 0 when it is missing or
    neither."""
    if value is None:
        return 0.0
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return min(float(value), RETRY_AFTER_LIMIT_SECONDS)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        return 0.0
    return min(max(0.0, moment.timestamp() - time.time()), RETRY_AFTER_LIMIT_SECONDS)
