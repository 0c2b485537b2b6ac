"""Samples of growing counters, which give the growth over the last seconds."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

SAMPLES = 12
"""Samples in a window. A snapshot of the engine's histogram has 95 KiB, so a window takes little more than a
megabyte."""


class SlidingWindow(Generic[T]):
    """Samples of about the last `window` seconds: up to a twelfth more, or fewer at first."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._samples: deque[tuple[float, T]] = deque()

    def add(self, value: T, now: float) -> tuple[float, T]:
        """Adds a sample made at `now`. Returns the time and the value to compare it with: the newest sample that is at
        least a window old, else the oldest."""
        if not self._samples or now - self._samples[-1][0] >= self._window / SAMPLES:
            self._samples.append((now, value))
        while len(self._samples) > 1 and self._samples[1][0] <= now - self._window:
            self._samples.popleft()
        return self._samples[0]

    def clear(self) -> None:
        """Drops all samples. Call it when the counters start over."""
        self._samples.clear()
