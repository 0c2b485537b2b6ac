"""What a probe has learned beside that there is an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Reply:
    """The answer of a healthy server. Both fields are a database's: the time of one query in milliseconds, and how many
    of a hundred connections are taken."""

    query_latency_ms: float | None = None
    pool_percent: float | None = None


Probe = Callable[[], Awaitable[Reply]]
"""Asks once. Raises `ProbeFailed`, `OSError` or `EOFError` when there is no good answer; whoever calls it sets the
time."""
