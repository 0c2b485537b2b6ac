"""Rows that `log_many` has taken from its iterator and not handed over yet."""

from __future__ import annotations

import threading
from collections import deque

from forebay.client.endpoint import Endpoint
from forebay.client.queue import Queue

MANY = 256
"""Rows that are handed over at once: far fewer cost more, more gain nothing."""


class RowBuffer:
    """The caller of one `log_many` adds to `rows`, which needs no lock; it hands over when there are `MANY`, and a
    sender does while the caller waits for its iterator."""

    __slots__ = ("_endpoint", "_lock", "_queue", "done", "rows")

    def __init__(self, queue: Queue, endpoint: Endpoint) -> None:
        self._queue = queue
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self.rows: deque[bytes] = deque()
        self.done = 0
        """How many were handed over."""

    def hand_over(self) -> None:
        """Hands over all that is there, with the queue's waits for room."""
        with self._lock:
            while some := self._take():
                self.done += self._queue.put_many(self._endpoint, some)

    def hand_over_what_fits(self) -> None:
        """Does not wait, neither for room nor for the caller, who hands over at the moment."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            some = self._take()
            done = self._queue.put_many(self._endpoint, some, False)
            self.done += done
            self.rows.extendleft(reversed(some[done:]))
        finally:
            self._lock.release()

    def _take(self) -> list[bytes]:
        rows = self.rows
        return [rows.popleft() for _ in range(min(len(rows), MANY))]
