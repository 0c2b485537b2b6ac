"""Batches that are open, wait or are sent, and the account of their events."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

from forebay.client.batch import Batch
from forebay.client.bells import Bells
from forebay.client.lane import Lane
from forebay.client.limits import Limits
from forebay.client.rejection import Rejection


class Backlog:
    """What a queue holds.

    A batch is `live` from its first event until the last one is settled; `ready` ones are closed and taken by nobody
    yet. The lock may be taken again by its own thread, since a signal's handler or a finalizer that logs runs in the
    middle of anything: what it hands over while its own thread has the lock is `late`, and taken when that is done.

    A signal's handler may also raise, which ends a call anywhere, or wait for the senders. "Anywhere" is after a call
    and at a jump back: between these the interpreter looks for no signals. So what belongs together is written without
    either, in blocks that are marked `whole`, and what such a block relies on is looked at in it, or after the last
    call before it. The steps around a block may be left out, or done again.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.closed = False
        self.on_work: Callable[[], object] = _nothing
        """Called when there is something to send."""
        self.on_fork: Callable[[], None] = _nothing
        """Called when this is found to be another process: not every fork calls Python's hooks."""
        self.on_refused: Callable[[Rejection], None] = _ignored
        """Called for an event that is too large, before it counts as rejected."""
        self._reset_lock()
        self._clear()
        self._pid = os.getpid()

    def _reset_lock(self) -> None:
        self.lock = threading.RLock()
        self._is_inside: Callable[[], bool] = self.lock._is_owned  # type: ignore[attr-defined]
        """Whether this thread has it. A `Condition` asks the same."""
        self._away = 0
        """The thread that a signal's handler waits in, in the middle of a call."""
        self._work = Bells()
        self._room = Bells()
        self._settled = Bells()

    def _clear(self) -> None:
        self.accepted = self.delivered = self.rejected = self.dropped = self.recovered = 0
        self._ready: deque[Batch] = deque()
        self._live: dict[Batch, None] = {}
        self._open: dict[Batch, None] = {}
        self._events = self._bytes = 0
        # Set when a wait for room was in vain, until something is settled: one caller waits for a dead server, the
        # others do not wait as well.
        self._stalled = False
        self._late: deque[tuple[Lane, bytes]] = deque()
        self._name = os.urandom(12).hex()
        self._closed_batches = 0

    # Forks

    @property
    def is_here(self) -> bool:
        """Whether this is the process that it works for."""
        return self._pid == os.getpid()

    def look_around(self) -> None:
        """Before the lock is taken: who had it may be in another process."""
        if self._pid != os.getpid():
            self.on_fork()

    def hold(self) -> None:
        """Before a fork, so that nobody is in the middle of anything."""
        self.lock.acquire()

    def let_go(self) -> None:
        """After it, in the parent. A signal's handler that raised may have kept `hold` from being called."""
        if self._is_inside():
            self.lock.release()

    def forget(self) -> None:
        """Empties it, in the child of a fork: what waits is the parent's. The locks, too, are in whatever state."""
        for batch in self._open:
            batch.lane.open = None
        self._reset_lock()
        self._clear()
        self._pid = os.getpid()

    @property
    def is_inside(self) -> bool:
        """Tells whether the caller is a signal's handler in the middle of a call."""
        return self._is_inside() or bool(self._away)

    # Batches

    def _tell(self) -> None:
        """Who sends, before there is something: should that fail, the next event does it again."""
        self.on_work()
        # A sender that sleeps has to learn by when a batch is due. It looks when the lock is free.
        self._work.ring()

    def _opened(self, lane: Lane) -> Batch | None:
        """A new open batch; None when there is to be none any more."""
        self._tell()
        batch = Batch(lane, time.monotonic())
        # Whole.
        if self.closed:
            return None
        self._live[batch] = self._open[batch] = None
        lane.open = batch
        return batch

    def _close(self, batch: Batch) -> None:
        if not batch.count:
            self._discard(batch)
            return
        key = self._key(batch)
        # Whole.
        if batch in self._open:
            del self._open[batch]
            batch.key = key
            batch.left = batch.count
            self._ready += (batch,)
            if batch.lane.open is batch:
                batch.lane.open = None
        self._work.ring()

    def _discard(self, batch: Batch) -> None:
        """One whose first event could not be added."""
        # Whole.
        if batch in self._open:
            del self._open[batch]
            del self._live[batch]
            if batch.lane.open is batch:
                batch.lane.open = None

    def _key(self, _batch: Batch) -> str:
        self._closed_batches += 1
        return f"{self._name}-{self._closed_batches}"

    def close_open(self) -> None:
        for batch in list(self._open):
            self._close(batch)

    @property
    def waits(self) -> int:
        """Batches that nobody has taken."""
        return len(self._ready)

    @property
    def pending(self) -> int:
        """Counted anew, not kept: the account is checked against it."""
        with self.lock:
            return sum(batch.pending for batch in list(self._live))


def _nothing() -> None: ...


def _ignored(_rejection: Rejection) -> None: ...
