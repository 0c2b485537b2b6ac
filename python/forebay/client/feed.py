"""What `log_many` has taken and not handed over yet."""

from __future__ import annotations

import threading
from collections import deque

from forebay.client.lane import Lane
from forebay.client.queue import Queue

MANY = 256
"""Rows that are handed over at once: far fewer cost more, more gain nothing."""


class Feed:
    """The caller of one `log_many` adds to `rows`, which needs no lock; it hands over when there are `MANY`, and a
    sender does while the caller waits for its iterator."""

    __slots__ = ("_lane", "_lock", "_queue", "done", "rows")

    def __init__(self, queue: Queue, lane: Lane) -> None:
        self._queue = queue
        self._lane = lane
        self._lock = threading.Lock()
        self.rows: deque[bytes] = deque()
        self.done = 0
        """How many were handed over."""

    def hand_over(self) -> None:
        """All that is there, with the queue's waits for room."""
        with self._lock:
            while some := self._taken():
                self.done += self._queue.offer_all(self._lane, some)

    def hand_over_what_fits(self) -> None:
        """Does not wait, neither for room nor for the caller, who hands over at the moment."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            some = self._taken()
            done = self._queue.offer_all(self._lane, some, False)
            self.done += done
            self.rows.extendleft(reversed(some[done:]))
        finally:
            self._lock.release()

    def _taken(self) -> list[bytes]:
        rows = self.rows
        return [rows.popleft() for _ in range(min(len(rows), MANY))]
