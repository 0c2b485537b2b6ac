"""The windows that this process has, in memory: what the processors' results say, the newest of each window."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from forebay.cache.cache import Kind
from forebay.cache.shapes import HOUR_MS, Totals


@dataclass(slots=True, frozen=True)
class Window:
    """A window that has events.

    Attributes:
        start_ms: milliseconds since 1970 UTC.
        body: the JSON of its shape.
    """

    kind: Kind
    start_ms: int
    body: bytes


@dataclass(slots=True, frozen=True)
class Changes:
    """What changed since a version.

    Attributes:
        version: the next ones are those since this version.
        totals: as they are now.
    """

    version: int
    windows: list[Window]
    totals: Totals


class Views:
    """Windows of at most `retention_ms`. One thread puts, any may read.

    Memory is bounded by the retention: at most one window a minute of two kinds, and one an hour, each of which holds
    at most the values that `top` gives.
    """

    def __init__(self, retention_ms: int) -> None:
        self.retention_ms = retention_ms
        self._lock = threading.Lock()
        self._version = 0
        self._windows: dict[Kind, dict[int, tuple[int, bytes]]] = {kind: {} for kind in Kind}
        self._totals = Totals()

    def put(self, kind: Kind, start_ms: int, body: bytes, now_ms: int) -> None:
        """Keeps a window in place of an earlier one with the same start, unless it is older than the retention."""
        if start_ms < self._oldest(kind, now_ms):
            return
        with self._lock:
            self._version += 1
            self._windows[kind][start_ms] = (self._version, body)

    def count(self, total_events: int, since: str | None) -> None:
        """Sets what is kept in all."""
        with self._lock:
            firsts = [min(self._windows[kind], default=None) for kind in (Kind.EVENTS, Kind.PERFORMANCE)]
            totals = Totals(total_events, since, *firsts)
            if totals != self._totals:
                self._totals = totals
                self._version += 1

    def expire(self, now_ms: int) -> None:
        """Forgets windows that are older than the retention."""
        with self._lock:
            for kind, windows in self._windows.items():
                oldest = self._oldest(kind, now_ms)
                for start in [start for start in windows if start < oldest]:
                    del windows[start]

    def windows(self, kind: Kind, first_ms: int, last_ms: int) -> dict[int, bytes]:
        """The windows that start from `first_ms` to `last_ms`, by their start."""
        known = self._windows[kind]
        starts = range(first_ms - first_ms % kind.length_ms, last_ms + 1, kind.length_ms)
        with self._lock:
            return {start: known[start][1] for start in starts if start in known and start >= first_ms}

    def totals(self) -> Totals:
        return self._totals

    def changes(self, since: int) -> Changes:
        """The windows that have changed since a version, the newest first; all since version 0. A window that has
        expired is not told of."""
        with self._lock:
            found = [Window(kind, start, body) for kind, start, body in self._changed(since)]
            found.sort(key=lambda window: window.start_ms, reverse=True)
            return Changes(self._version, found, self._totals)

    def _changed(self, since: int) -> Iterator[tuple[Kind, int, bytes]]:
        for kind, windows in self._windows.items():
            for start, (version, body) in windows.items():
                if version > since:
                    yield kind, start, body

    def _oldest(self, kind: Kind, now_ms: int) -> int:
        """The start of the oldest window of which a part is within the retention."""
        # The running hour is kept whole, however short the retention.
        return min(now_ms - self.retention_ms, now_ms - HOUR_MS) - kind.length_ms + 1
