"""What is known of every export: one that waits, is under way, has failed, is finished, or has expired."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from forebay.server.exports.order import Finished, Order, Progress

Status = Literal["processing", "completed", "failed", "expired"]

MAX_KNOWN = 1_000
"""Of exports that have ended, the oldest beyond so many are forgotten."""

REMEMBERED_SECONDS = 7 * 24 * 3600.0
"""How long it is said of an export that it has expired. After that nobody knows it."""


@dataclass(slots=True, eq=False)
class Known:
    """One export.

    Attributes:
        progress: how far it is, or was when it ended; None before its first step.
        error: why it failed.
        finished: its file, once it is whole.
        is_there: whether that file is there; False once it has expired.
        is_deleted: nobody wants it any more, and whoever works on it ends.
    """

    order: Order
    job_id: str
    progress: Progress | None = None
    error: str | None = None
    finished: Finished | None = None
    is_there: bool = False
    is_deleted: bool = False

    def status(self, now: float) -> Status:
        """Its status at a time, in seconds since 1970 UTC."""
        if self.finished is not None:
            return "completed" if self.is_there and now * 1_000_000 < self.finished.expires else "expired"
        return "processing" if self.error is None else "failed"


class Register:
    """All exports by their ids. Any thread may use it."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Known] = {}

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return self._clock()

    def add(self, known: Known) -> None:
        with self._lock:
            self._known[known.order.export_id] = known

    def find(self, export_id: str) -> Known | None:
        with self._lock:
            return self._known.get(export_id)

    def drop(self, export_id: str) -> None:
        with self._lock:
            self._known.pop(export_id, None)

    def all(self) -> list[Known]:
        with self._lock:
            return list(self._known.values())

    def unfinished(self) -> list[Known]:
        """Those that wait or are under way."""
        every = self.all()
        return [known for known in every if known.finished is None and known.error is None and not known.is_deleted]

    def deleted(self) -> list[Known]:
        """Those that nobody wants any more."""
        return [known for known in self.all() if known.is_deleted]

    def files(self) -> list[Known]:
        """Those whose file is there, the oldest first."""
        there = [known for known in self.all() if known.finished is not None and known.is_there]
        return sorted(there, key=lambda known: 0 if known.finished is None else known.finished.finished)

    def forgettable(self) -> list[Known]:
        """Those that ended so long ago, or are so many, that nobody has to know of them."""
        now = self._clock()
        ended = [known for known in self.all() if known.error is not None or self._is_gone(known)]
        ended.sort(key=lambda known: known.order.asked)
        many = max(0, len(ended) - MAX_KNOWN)
        old = [known for known in ended[many:] if self._ended(known) + REMEMBERED_SECONDS < now]
        return ended[:many] + old

    def _is_gone(self, known: Known) -> bool:
        return known.finished is not None and not known.is_there

    def _ended(self, known: Known) -> float:
        micros = known.order.asked if known.finished is None else known.finished.expires
        return micros / 1_000_000
