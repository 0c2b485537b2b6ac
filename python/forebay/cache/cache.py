"""The interface of a cache of views. Routes ask it and nothing else."""

from __future__ import annotations

import enum
from typing import Protocol

from forebay.cache.shapes import HOUR_MS, MINUTE_MS, Totals

STALE_MS = 15_000
"""Who publishes views says every second that it does, and another one has taken over within 10 seconds."""


class Kind(enum.Enum):
    """A kind of windows; the value stands in the keys of Redis."""

    EVENTS = "events"
    PERFORMANCE = "performance"
    HOURS = "hours"

    @property
    def length_ms(self) -> int:
        return HOUR_MS if self is Kind.HOURS else MINUTE_MS


class Health(enum.Enum):
    """What is known of the place where views are kept."""

    EMBEDDED = "embedded"
    """In this process; there is nothing that could be away."""
    REACHABLE = "reachable"
    AWAY = "away"


class Cache(Protocol):
    """Windows by kind and start, each the JSON of its shape: `EventWindow`, `PerformanceWindow`, `HourWindow`."""

    async def as_of(self, now_ms: int) -> int:
        """The time that answers are of, in milliseconds since 1970 UTC: now, or when views were last published, where
        nobody has done that for `STALE_MS`. Minutes after it would only look as if nothing had come.

        Raises:
            StorageUnavailable: nobody has published views, or that cannot be read now.
        """

    async def windows(self, kind: Kind, first_ms: int, last_ms: int) -> dict[int, bytes]:
        """The windows that start from `first_ms` to `last_ms`, by their start in milliseconds since 1970 UTC. Those
        without events are missing.

        Raises:
            StorageUnavailable: they cannot be read now.
        """

    async def totals(self) -> Totals:
        """What is kept.

        Raises:
            StorageUnavailable: it cannot be read now.
        """

    async def health(self) -> Health:
        """Whether views can be read and, by the process that computes them, be written. Asks now."""
