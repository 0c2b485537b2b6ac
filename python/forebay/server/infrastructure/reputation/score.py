"""The score of an address, and what it amounts to. docs/infrastructure.md has the formula."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

LISTING_POINTS = 25
MOST_LISTING_POINTS = 50
"""Each list that has the address, and all of them together."""

BOUNCE_LIMIT, COMPLAINT_LIMIT = 2.0, 0.1
"""Percent of what was sent. Large mailbox providers ask for less than these."""

BOUNCE_POINTS, COMPLAINT_POINTS = 5.0, 100.0
"""For each percent beyond the limit."""

MOST_RATE_POINTS = 25.0
"""Bounces alone, and complaints alone."""

LEAST_VOLUME = 100
"""With less than that a single bounce would be a percent."""

WARNING_SCORE, CRITICAL_SCORE = 80, 50


class Volume(NamedTuple):
    """Messages of the last 24 hours."""

    sent: float = 0.0
    bounces: float = 0.0
    complaints: float = 0.0

    def rates(self) -> tuple[float, float] | None:
        """Bounces and complaints in percent of what was sent; None when that is too little."""
        if self.sent < LEAST_VOLUME:
            return None
        bounced, complained = (min(100 * each / self.sent, 100.0) for each in (self.bounces, self.complaints))
        return max(bounced, 0.0), max(complained, 0.0)


def score(blacklists: Sequence[str], volume: Volume) -> int:
    """From 0 to 100, of which 100 is the best."""
    lost = float(min(LISTING_POINTS * len(blacklists), MOST_LISTING_POINTS))
    rates = volume.rates()
    if rates is not None:
        bounced, complained = rates
        lost += _points(bounced - BOUNCE_LIMIT, BOUNCE_POINTS) + _points(complained - COMPLAINT_LIMIT, COMPLAINT_POINTS)
    return round(100 - lost)


def _points(beyond: float, points: float) -> float:
    return min(max(beyond, 0.0) * points, MOST_RATE_POINTS)


def status(blacklists: Sequence[str], points: int) -> Literal["good", "warning", "critical"]:
    """Critical on any list, whatever the score."""
    if blacklists or points < CRITICAL_SCORE:
        return "critical"
    return "warning" if points < WARNING_SCORE else "good"
