"""Events that wait, in batches, within a bound; and the account of them."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from forebay.client.batch import Batch
from forebay.client.lane import Lane
from forebay.client.stats import SpoolAccount

Policy = Literal["block", "drop_newest", "drop_oldest"]

EVENT_OVERHEAD = 64
"""Bytes that an event takes beside its JSON: the object around it, and its place in a list."""

IDLE_SECONDS = 10.0
"""A wait for work ends after this at the latest, and is begun again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much waits, how it is cut into batches, and what gives when there is no room."""

    events: int
    bytes: int
    policy: Policy
    block_seconds: float
    batch_events: int
    batch_bytes: int
    linger_seconds: float


class Queue:
    """In memory. Every method may be called by any thread.

    A batch is `live` from its first event until the last one is settled; `ready` ones are closed and taken by nobody
    yet. The lock may be taken again by its own thread, since a signal's handler or a finalizer that logs runs in the
    middle of anything: what it hands over while its own thread is `inside` waits until that is done.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._batch_events = limits.batch_events
        self._batch_bytes = limits.batch_bytes
        self._max_events = limits.events
        self._max_bytes = limits.bytes
        self.closed = False
        self.on_work: Callable[[], None] = _nothing
        """Called when there is something to send."""
        self.reset_lock()
        self._clear()

    def start(self) -> None:
        """Called once, when `on_work` is set."""

    def look(self) -> None:
        """What others left in a spool is looked for."""

    def end(self) -> None:
        """Called once, after `close`, when nobody sends any more."""

    def reset_lock(self) -> None:
        """New ones: after a fork those of the parent are in whatever state."""
        self.lock = threading.RLock()
        self._work = threading.Condition(self.lock)
        self._room = threading.Condition(self.lock)
        self._settled = threading.Condition(self.lock)

    def _clear(self) -> None:
        self.accepted = self.delivered = self.rejected = self.dropped = self.recovered = 0
        self._ready: deque[Batch] = deque()
        self._live: dict[Batch, None] = {}
        self._open: dict[Batch, None] = {}
        self._events = self._bytes = 0
        self._waiting = 0
        # Set when a wait for room was in vain, until something is settled: one caller waits for a dead server, the
        # others do not wait as well.
        self._stalled = False
        self._inside = False
        self._late: deque[tuple[Lane, bytes]] = deque()
        self._name = os.urandom(12).hex()
        self._closed_batches = 0

    def forget(self) -> None:
        """Empties it, in the child of a fork: what waits is the parent's."""
        for batch in self._open:
            batch.lane.open = None
        self.reset_lock()
        self._clear()

    # Handing over

    def offer(self, lane: Lane, text: bytes, wait: bool = True) -> bool | None:
        """Adds an event. True when it is kept; False when the policy drops it; None, and it is not accepted, when it
        would have to wait for room and `wait` is not set."""
        size = len(text) + EVENT_OVERHEAD
        with self.lock:
            if self._inside:
                self._late.append((lane, text))
                return True
            self._inside = True
            kept: bool | None = True
            try:
                batch = lane.open
                if batch is None or self._events >= self._max_events or self._bytes + size > self._max_bytes:
                    kept = self._admit(size, wait)
                    batch = (lane.open or self._opened(lane)) if kept else None
                if batch is not None:
                    # Not typed as optional: only a spool takes the events of a batch away, and of a closed one.
                    batch.items.append(text)  # type: ignore[union-attr]
                    batch.size += size
                    self._bytes += size
                    self._events += 1
                    self.accepted += 1
                    if batch.size >= self._batch_bytes or len(batch.items) >= self._batch_events:  # type: ignore[arg-type]
                        self._close(batch)
            finally:
                self._inside = False
            if self._late:
                self._catch_up()
            return kept

    def _catch_up(self) -> None:
        while self._late:
            lane, text = self._late.popleft()
            if self.offer(lane, text, False) is None:
                self.give_up()

    def offer_all(self, lane: Lane, texts: Sequence[bytes], wait: bool = True) -> int:
        """Adds events, at once as far as they fit; how many of them are dealt with, kept or dropped by the policy. It
        is fewer than all of them when `wait` is not set and there is no room."""
        done = 0
        while done < len(texts):
            with self.lock:
                if some := 0 if self._inside else self._offer_some(lane, texts, done):
                    done += some
                    if self._late:
                        self._catch_up()
                    continue
            # At the edge of a bound, one at a time.
            if self.offer(lane, texts[done], wait) is None:
                break
            done += 1
        return done

    def _offer_some(self, lane: Lane, texts: Sequence[bytes], start: int) -> int:
        """Adds events from `start` on to the open batch, or to a new one; how many, 0 at the edge of any bound."""
        self._inside = True
        try:
            batch = lane.open
            free = min(self._batch_events - (len(batch.items or ()) if batch else 0), self._max_events - self._events)
            some = texts[start : start + max(free, 0)]
            size = sum(map(len, some)) + EVENT_OVERHEAD * len(some)
            fits = self._bytes + size <= self._max_bytes and (batch.size if batch else 0) + size <= self._batch_bytes
            if not some or not fits or self.closed:
                return 0
            return self._extend(batch or self._opened(lane), some, size)
        finally:
            self._inside = False

    def _extend(self, batch: Batch, texts: Sequence[bytes], size: int) -> int:
        batch.items.extend(texts)  # type: ignore[union-attr]
        batch.size += size
        self._bytes += size
        self._events += len(texts)
        self.accepted += len(texts)
        if batch.size >= self._batch_bytes or len(batch.items) >= self._batch_events:  # type: ignore[arg-type]
            self._close(batch)
        return len(texts)

    def _opened(self, lane: Lane) -> Batch:
        """A new open batch."""
        lane.open = batch = Batch(lane, time.monotonic())
        self._live[batch] = self._open[batch] = None
        self.on_work()
        # A sender that sleeps has to learn by when the batch is due.
        self._work.notify()
        return batch

    def _close(self, batch: Batch) -> None:
        batch.lane.open = None
        self._open.pop(batch)
        batch.close(self._key(batch))
        self._ready.append(batch)
        self._work.notify()

    def _key(self, _batch: Batch) -> str:
        self._closed_batches += 1
        return f"{self._name}-{self._closed_batches}"

    def close_open(self) -> None:
        for batch in list(self._open):
            self._close(batch)

    # No room

    def _has_room(self, size: int) -> bool:
        # An event that is larger than the whole bound goes when it is alone.
        return not self._events or (self._events < self._max_events and self._bytes + size <= self._max_bytes)

    def _admit(self, size: int, wait: bool) -> bool | None:
        if not self.closed and self._has_room(size):
            return True
        if not self.closed and self.limits.policy == "drop_oldest" and self._make_room(size):
            return True
        if not self.closed and self.limits.policy == "block":
            self.close_open()
            if not wait:
                return None
            if self._await_room(size):
                return True
        self.accepted += 1
        self.dropped += 1
        return False

    @property
    def stalled(self) -> bool:
        """Whether a wait for room was in vain and nothing has been settled since."""
        return self._stalled

    def give_up(self, *, in_vain: bool = True) -> bool:
        """An event that `offer` did not take for want of room is dropped; `in_vain` when that was waited for."""
        with self.lock:
            self._stalled |= in_vain
            self.accepted += 1
            self.dropped += 1
        return False

    def _make_room(self, size: int) -> bool:
        """Drops the oldest events that nobody has tried to send."""
        while not self._has_room(size):
            batch = self._ready[0] if self._ready else next(iter(self._open), None)
            if batch is None or not batch.items:
                return False
            gone = len(batch.items.pop(0)) + EVENT_OVERHEAD
            batch.size -= gone
            self._bytes -= gone
            self._events -= 1
            self.dropped += 1
            if batch.key:
                batch.count = batch.left = len(batch.items)
            if not batch.items:
                self._live.pop(batch)
                if batch.key:
                    self._ready.popleft()
                else:
                    self._open.pop(batch)
                    batch.lane.open = None
        return True

    def _await_room(self, size: int) -> bool:
        deadline = time.monotonic() + self.limits.block_seconds
        self._waiting += 1
        try:
            while not self._has_room(size) and not self.closed:
                left = deadline - time.monotonic()
                if self._stalled or left <= 0:
                    self._stalled = True
                    return False
                # Others come in while this one waits.
                self._inside = False
                self._room.wait(left)
                self._inside = True
        finally:
            self._waiting -= 1
        return not self.closed

    # Sending

    def take(self, seconds: float = IDLE_SECONDS) -> Batch | None:
        """The next batch; None when there is none within `seconds`, or for ever."""
        deadline = time.monotonic() + seconds
        with self.lock:
            while True:
                now = time.monotonic()
                due = self._close_due(now)
                if self._ready:
                    return self._ready.popleft()
                if self.closed or now >= deadline:
                    return None
                self._work.wait(min(due, deadline) - now)

    def _close_due(self, now: float) -> float:
        """Closes the open batches that have waited; by when the next one is due."""
        due = now + IDLE_SECONDS
        for batch in list(self._open):
            at = batch.opened + self.limits.linger_seconds
            if at <= now:
                self._close(batch)
            else:
                due = min(due, at)
        return due

    @property
    def waits(self) -> int:
        """Batches that nobody has taken."""
        return len(self._ready)

    def sync(self, batch: Batch) -> None:
        """Called before a batch is sent for the first time."""

    def cut(self, batch: Batch, indices: Iterable[int]) -> None:
        """From now on the batch is sent in parts, split there."""
        with self.lock:
            batch.cuts.update(indices)

    def settle(self, batch: Batch, start: int, end: int, rejected: int) -> None:
        """The events of a part are dealt with: stored, but for so many that are rejected."""
        with self.lock:
            batch.settled.add((start, end))
            batch.left -= end - start
            self.rejected += rejected
            self.delivered += end - start - rejected
            self._stalled = False
            if not batch.left:
                self._release(batch)
            self._settled.notify_all()

    def _release(self, batch: Batch) -> None:
        if self._live.pop(batch, batch) is batch:
            return
        self._events -= batch.count
        self._bytes -= batch.size
        # Half empty, not one event's worth: a caller that fills it would else be woken for every batch.
        if self._waiting and self._events * 2 <= self._max_events and self._bytes * 2 <= self._max_bytes:
            self._room.notify_all()

    # Waiting and counting

    def spool_account(self) -> SpoolAccount:
        return SpoolAccount()

    def flush(self, seconds: float) -> int:
        """Waits until everything accepted so far is settled; how many events are not."""
        deadline = time.monotonic() + seconds
        with self.lock:
            self.close_open()
            awaited = set(self._live)
            while awaited := awaited & self._live.keys():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._settled.wait(min(left, IDLE_SECONDS))
            return sum(batch.pending for batch in awaited)

    def close(self) -> None:
        """Nothing further is accepted; what waits is still sent."""
        with self.lock:
            self.closed = True
            self.close_open()
            self._work.notify_all()
            self._room.notify_all()

    @property
    def pending(self) -> int:
        """Counted anew, not kept: the account is checked against it."""
        with self.lock:
            return sum(batch.pending for batch in list(self._live))


def _nothing() -> None: ...
