"""Samples of something that only grows, so that what was added lately can be told from what was added since the
start."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

SAMPLES = 12
"""In a window. A snapshot of the engine's histogram has 95 KiB, so a window costs little more than a megabyte."""


class SlidingWindow(Generic[T]):
    """Samples that reach back about `window` seconds: by a twelfth more, or less at first."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._samples: deque[tuple[float, T]] = deque()

    def add(self, value: T, now: float) -> tuple[float, T]:
        """Takes in a sample made at `now`, and gives the one to compare it with and its time: the newest that is at
        least a window old, else the oldest."""
        if not self._samples or now - self._samples[-1][0] >= self._window / SAMPLES:
            self._samples.append((now, value))
        while len(self._samples) > 1 and self._samples[1][0] <= now - self._window:
            self._samples.popleft()
        return self._samples[0]

    def clear(self) -> None:
        """Forgets all samples: what they counted began anew."""
        self._samples.clear()
