"""Events that wait, within a bound, until they are sent."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence

from forebay.client.backlog import Backlog
from forebay.client.batch import Batch
from forebay.client.bells import Bells
from forebay.client.frame import MAX_PAYLOAD
from forebay.client.lane import Lane
from forebay.client.limits import Limits
from forebay.client.rejection import Rejection
from forebay.client.stats import SpoolAccount

EVENT_OVERHEAD = 64
"""Bytes that an event takes beside its JSON: the object around it, and its place in a list."""

IDLE_SECONDS = 10.0
"""A wait for work ends after this at the latest, and is begun again."""

MAX_EVENT_BYTES = MAX_PAYLOAD
"""What a frame of the spool holds. The same without one, or a program would lose events when it is given one."""

_getpid = os.getpid


class Queue(Backlog):
    """In memory. Every method may be called by any thread."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._batch_events = limits.batch_events
        self._batch_bytes = limits.batch_bytes
        self._max_events = limits.events
        self._max_bytes = limits.bytes

    def start(self) -> None:
        """Called once, when `on_work` is set."""

    def look(self) -> None:
        """What others left in a spool is looked for."""

    def end(self) -> None:
        """Called once, after `close`, when nobody sends any more."""

    # Handing over

    def offer(self, lane: Lane, text: bytes, wait: bool = True) -> bool | None:
        """Adds an event. True when it is kept; False when the policy drops it or it is too large; None, and it is not
        accepted, when it would have to wait for room and `wait` is not set."""
        if self._pid != _getpid():
            self.on_fork()
        if len(text) > MAX_EVENT_BYTES:
            return self._refuse(lane, text)
        if (self._away or self._is_inside()) and self._is_late():
            self._late.append((lane, text))
            return True
        with self.lock:
            kept = self._put(lane, text)
            if self._late:
                self.catch_up()
        return self._put_waiting(lane, text) if kept is None and wait else kept

    def _is_late(self) -> bool:
        if self._is_inside():
            return True
        if self._away == threading.get_ident():
            # The handler that waited is gone, by an exception.
            self._away = 0
        return bool(self._away)

    def _put(self, lane: Lane, text: bytes) -> bool | None:
        size = len(text) + EVENT_OVERHEAD
        batch = lane.open
        if batch is None or self._events >= self._max_events or self._bytes + size > self._max_bytes:
            if not (kept := self._admit(size)):
                return kept
            if (batch := lane.open or self._opened(lane)) is None:
                return self._dropped()
        # Whole: the account and the event. Nothing more is added to a full batch, also should it not get closed.
        batch.size += size
        batch.count += 1
        self._bytes += size
        self._events += 1
        self.accepted += 1
        if full := batch.size >= self._batch_bytes or batch.count >= self._batch_events:
            lane.open = None
        # Not typed as optional: only a spool takes the events of a batch away, and of a closed one.
        batch.items.append(text)  # type: ignore[union-attr]
        if full:
            self._close(batch)
        return True

    def _put_waiting(self, lane: Lane, text: bytes) -> bool:
        deadline = time.monotonic() + self.limits.block_seconds
        while True:
            with self.lock:
                kept = self._put(lane, text)
                if kept is not None:
                    return kept
                left = deadline - time.monotonic()
                if left <= 0:
                    return self.give_up()
                bell = self._room.hang()
            if not bell.acquire(timeout=left):
                with self.lock:
                    self._room.take_down(bell)

    def _refuse(self, lane: Lane, text: bytes) -> bool:
        why = f"the event has {len(text)} bytes, a client takes at most {MAX_EVENT_BYTES}"
        self.on_refused(Rejection(lane.name, text, why))
        with self.lock:
            self.accepted += 1
            self.rejected += 1
        return False

    def catch_up(self) -> None:
        """With the lock, and in the middle of nothing."""
        while self._late and not self._away:
            lane, text = self._late.popleft()
            if self._put(lane, text) is None:
                self.give_up()

    def take_late(self) -> None:
        """After the lock was held by who does not hand over."""
        if self._late and not self._is_inside():
            with self.lock:
                self.catch_up()

    def let_go(self) -> None:
        super().let_go()
        self.take_late()

    def offer_all(self, lane: Lane, texts: Sequence[bytes], wait: bool = True) -> int:
        """Adds events, at once as far as they fit; how many of them are dealt with, kept or dropped by the policy. It
        is fewer than all of them when `wait` is not set and there is no room."""
        self.look_around()
        done = 0
        while done < len(texts):
            if not (self._away or self._is_inside()):
                with self.lock:
                    some = self._put_some(lane, texts, done)
                    if self._late:
                        self.catch_up()
                if some:
                    done += some
                    continue
            # At the edge of a bound, one at a time.
            if self.offer(lane, texts[done], wait) is None:
                break
            done += 1
        return done

    def _put_some(self, lane: Lane, texts: Sequence[bytes], start: int) -> int:
        """Adds events from `start` on to the open batch, or to a new one; how many, 0 at the edge of any bound."""
        batch = lane.open
        free = min(self._batch_events - (batch.count if batch else 0), self._max_events - self._events)
        some = texts[start : start + max(free, 0)]
        size, count = sum(map(len, some)) + EVENT_OVERHEAD * len(some), len(some)
        fits = self._bytes + size <= self._max_bytes and (batch.size if batch else 0) + size <= self._batch_bytes
        if not count or not fits or self.closed:
            return 0
        if batch is None:
            batch = self._opened(lane)
        # Whole, as in `_put`.
        if batch is None or lane.open is not batch:
            return 0
        batch.size += size
        batch.count += count
        self._bytes += size
        self._events += count
        self.accepted += count
        if full := batch.size >= self._batch_bytes or batch.count >= self._batch_events:
            lane.open = None
        batch.items.extend(some)  # type: ignore[union-attr]
        if full:
            self._close(batch)
        return count

    # No room

    def _has_room(self, size: int) -> bool:
        # An event that is larger than the whole bound goes when it is alone.
        return not self._events or (self._events < self._max_events and self._bytes + size <= self._max_bytes)

    def _admit(self, size: int) -> bool | None:
        """Whether there is room, or is made; None when the event may wait for it."""
        if not self.closed:
            if self._has_room(size):
                return True
            if self.limits.policy == "drop_oldest" and self._make_room(size):
                return True
            if self.limits.policy == "block" and not self._stalled:
                self.close_open()
                return None
        return self._dropped()

    def _dropped(self) -> bool:
        # Whole.
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
            return self._dropped()

    def _make_room(self, size: int) -> bool:
        """Drops the oldest events that nobody has tried to send."""
        while not self._has_room(size):
            batch = self._ready[0] if self._ready else next((batch for batch in self._open if batch.count), None)
            if batch is None or not batch.items:
                return False
            gone = len(batch.items[0]) + EVENT_OVERHEAD
            # Whole.
            if batch not in self._open and not (self._ready and self._ready[0] is batch):
                continue
            del batch.items[0]
            batch.size -= gone
            batch.count -= 1
            self._bytes -= gone
            self._events -= 1
            self.dropped += 1
            if batch.key:
                batch.left = batch.count
            if not batch.count:
                del self._live[batch]
                if batch.key:
                    del self._ready[0]
                else:
                    del self._open[batch]
                    if batch.lane.open is batch:
                        batch.lane.open = None
        return True

    # Sending

    def take(self, seconds: float = IDLE_SECONDS) -> Batch | None:
        """The next batch; None when there is none within `seconds`, or for ever."""
        deadline = time.monotonic() + seconds
        while True:
            with self.lock:
                if self._late:
                    self.catch_up()
                now = time.monotonic()
                due = self._close_due(now)
                if (batch := self._next()) is not None:
                    return batch
                if self.closed or now >= deadline:
                    return None
                bell = self._work.hang()
            if not bell.acquire(timeout=max(0.0, min(due, deadline) - now)):
                with self.lock:
                    self._work.take_down(bell)

    def _next(self) -> Batch | None:
        return self._ready.popleft() if self._ready else None

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
            self._settled.ring_all()

    def _release(self, batch: Batch) -> None:
        if self._live.pop(batch, batch) is batch:
            return
        self._events -= batch.count
        self._bytes -= batch.size
        # Half empty, not one event's worth: a caller that fills it would else be woken for every batch.
        if self._room and self._events * 2 <= self._max_events and self._bytes * 2 <= self._max_bytes:
            self._room.ring_all()

    # Waiting and counting

    def spool_account(self) -> SpoolAccount:
        return SpoolAccount()

    def flush(self, seconds: float) -> int:
        """Waits until everything accepted so far is settled; how many events are not."""
        deadline = time.monotonic() + seconds
        self.look_around()
        self.take_late()
        with self.lock:
            self.close_open()
            awaited = set(self._live)
            if awaited:
                # Once more: the first time may have been broken off.
                self.on_work()
                self._work.ring_all()
        while True:
            with self.lock:
                awaited &= self._live.keys()
                left = deadline - time.monotonic()
                if not awaited or left <= 0:
                    return sum(batch.pending for batch in awaited)
                bell = self._settled.hang()
            self._await(self._settled, bell, min(left, IDLE_SECONDS))

    def _await(self, bells: Bells, bell: threading.Lock, seconds: float) -> None:
        if not self._is_inside():
            rung = bell.acquire(timeout=seconds)
        else:
            # A signal's handler in the middle of a call of this thread: the senders need the lock, and what others
            # hand over is late.
            self._away = threading.get_ident()
            taken = self.lock._release_save()  # type: ignore[attr-defined]
            try:
                rung = bell.acquire(timeout=seconds)
            finally:
                self.lock._acquire_restore(taken)  # type: ignore[attr-defined]
                self._away = 0
        if not rung:
            with self.lock:
                bells.take_down(bell)

    def close(self) -> None:
        """Nothing further is accepted; what waits is still sent."""
        self.look_around()
        self.take_late()
        with self.lock:
            self.closed = True
            self.close_open()
            self._work.ring_all()
            self._room.ring_all()
