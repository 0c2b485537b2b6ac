"""The last probes of a dependency."""

from __future__ import annotations

import math
from collections import deque

from forebay.server.infrastructure.shapes import ResponseTime

KEPT = 60
"""The probes that figures are of: eight minutes at the default interval, within which one failure is less than the
default limit of errors."""


class Samples:
    """Durations and failures of the last `KEPT` probes."""

    def __init__(self) -> None:
        self._kept: deque[float | None] = deque(maxlen=KEPT)
        self.response_time: ResponseTime | None = None
        """Average and percentiles of the answers; None when there was none."""

    def add(self, milliseconds: float | None) -> None:
        """Adds a probe: how long the answer took, None when there was none."""
        self._kept.append(milliseconds)
        # Here and not where it is asked for: who asks waits for nothing, however many probes there are.
        self.response_time = self._times()

    def _times(self) -> ResponseTime | None:
        times = sorted(each for each in self._kept if each is not None)
        if not times:
            return None
        average = sum(times) / len(times)
        return ResponseTime(*(round(each, 3) for each in (average, _percentile(times, 95), _percentile(times, 99))))

    def error_percent(self) -> float:
        """How many of a hundred failed."""
        return round(100 * sum(each is None for each in self._kept) / max(len(self._kept), 1), 3)


def _percentile(times: list[float], percent: int) -> float:
    """The smallest that so many of a hundred do not exceed (nearest rank)."""
    return times[math.ceil(len(times) * percent / 100) - 1]
