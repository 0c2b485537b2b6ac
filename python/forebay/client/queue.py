"""Events that wait, within a bound, until they are sent."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from forebay.client.batch import Batch
from forebay.client.endpoint import Endpoint
from forebay.client.rejection import Rejection
from forebay.client.stats import SpoolStats

EVENT_OVERHEAD = 64
"""Bytes that an event takes in memory beside its JSON: the object around it, and its place in a list."""

IDLE_SECONDS = 10.0
"""A wait for work ends after this at the latest, and is begun again."""

MAX_EVENT_BYTES = 64 << 20
"""Far more than a server takes: what is beyond would only fill the queue, or the spool, until it is refused."""

Policy = Literal["block", "drop_newest", "drop_oldest"]

FULL = "full"
SPOOL = "spool"
CLOSED = "closed"
"""Why events are dropped: for want of room, since the spool cannot be written, or after `close`."""

_getpid = os.getpid


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a queue and of its batches, and what gives when there is no room."""

    events: int
    bytes: int
    policy: Policy
    block_seconds: float
    batch_events: int
    batch_bytes: int
    linger_seconds: float


class Store:
    """Keeps the events of a queue's batches: this one in memory. The queue calls it with its lock held, except for
    `start`, `sync`, `search` and `stop`."""

    overhead = EVENT_OVERHEAD
    """Bytes that an event takes beside its JSON."""
    always = False
    """Tells that calls return only after `sync`."""
    max_open = 1 << 62
    """Batches that may be open at a time."""
    file_bytes = 0
    """Bytes in files, of those that were found there as well."""
    searching = False
    """Tells that batches of other processes may be left that are not taken over yet."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stats = SpoolStats()
        self.reinit_after_fork()

    def has_room(self, events: int, size: int) -> bool:
        # An event that is larger than the whole bound goes when it is alone.
        return not self._events or (
            self._events + events <= self.limits.events and self._bytes + size <= self.limits.bytes
        )

    @property
    def is_roomy(self) -> bool:
        """Tells that callers who wait for room are worth waking: half of it is free, not one event's worth."""
        return self._events * 2 <= self.limits.events and self._bytes * 2 <= self.limits.bytes

    def begin(self, batch: Batch) -> bool:
        """Prepares an empty batch; False when it cannot be kept."""
        return True

    def append(self, batch: Batch, events: Sequence[bytes], size: int) -> bool:
        """Keeps the events, all of them or none."""
        self._events += len(events)
        self._bytes += size
        batch.events += events  # type: ignore[operator]
        return True

    def seal(self, batch: Batch) -> None:
        """Gives a closed batch its key."""
        self._sealed += 1
        batch.key = f"{self._key}-{self._sealed}"

    def discard(self, batch: Batch) -> None:
        """Forgets an open batch without events."""

    def drop_oldest(self, batch: Batch) -> int:
        """Drops the first events of a batch that nobody sends. Returns how many: 0 when that makes no room."""
        assert batch.events  # noqa: S101
        size = len(batch.events.pop(0)) + self.overhead
        batch.size -= size
        batch.count -= 1
        batch.left -= bool(batch.key)
        self._events -= 1
        self._bytes -= size
        return 1

    def cut(self, batch: Batch, indices: Iterable[int]) -> None:
        """Notes that a batch is sent in parts from now on."""

    def settle(self, batch: Batch, start: int, end: int) -> None:
        """Notes that a part is dealt with. The batch's `left` does not count it any more."""
        if not batch.left:
            self._events -= batch.count
            self._bytes -= batch.size

    def start(self, queue: Queue) -> None:
        """Begins what a store does in the background, for its queue."""

    def sync(self, batch: Batch | None = None) -> bool:
        """Writes a batch, or all that was handed over, to the disk; False when that failed."""
        return True

    def search(self) -> None:
        """Looks soon for what other processes left."""

    def keep_damaged(self, batch: Batch) -> str:
        """Keeps the file of a batch that is damaged from its removal. Returns where it is; empty for nowhere."""
        return ""

    def stop(self) -> None:
        """Ends what `start` began."""

    def close(self) -> None:
        """Gives up what is left, to whoever comes next."""

    def reinit_after_fork(self) -> None:
        """Forgets everything: it is the parent's."""
        self._events = self._bytes = 0
        self._key = os.urandom(12).hex()
        self._sealed = 0


class Queue:
    """Open batches, closed ones that wait or are sent, and the account of their events. Any thread may call any method.

    A signal handler or a finalizer may hand over an event while its own thread is inside `put`: the lock is reentrant,
    and such events are `late`: they are taken when the interrupted call is done.
    """

    def __init__(self, limits: Limits, store: Store) -> None:
        self.limits = limits
        self.store = store
        self.closed = False
        self.on_work: Callable[[], object] = lambda: None
        """Called when there is something to send."""
        self.on_fork: Callable[[], None] = lambda: None
        """Called when this is found to be another process: not every fork calls Python's hooks."""
        self.on_refused: Callable[[Rejection], None] = lambda _: None
        """Called for an event that is too large."""
        self._has_room, self._append = store.has_room, store.append
        self._overhead, self._always = store.overhead, store.always
        self._batch_events, self._batch_bytes = limits.batch_events, limits.batch_bytes
        self._reset()

    def _reset(self) -> None:
        self.lock = threading.RLock()
        self._work = threading.Condition(self.lock)
        self._room = threading.Condition(self.lock)
        self._settled = threading.Condition(self.lock)
        self._busy = False
        """A thread is inside `put`. Whoever holds the lock and finds this set interrupted itself."""
        self._late: deque[tuple[Endpoint, bytes]] = deque()
        self.accepted = self.delivered = self.rejected = self.recovered = 0
        self.drops = {FULL: 0, SPOOL: 0, CLOSED: 0}
        """Those that are dropped, by why."""
        self.spool_failure = ""
        """Why the last of them could not be kept in the spool."""
        self._live: dict[Batch, None] = {}
        """Every batch from its first event until the last one is settled."""
        self._open: dict[Batch, None] = {}
        self._ready: deque[Batch] = deque()
        self._recovered: deque[Batch] = deque()
        self._aside: deque[tuple[float, Batch]] = deque()
        """Those that are tried again, with the times of that."""
        self.stalled = False
        """A wait for room was in vain and nothing has been settled since: one caller waits for a dead server, the
        others do not wait as well."""
        self._pid = os.getpid()

    # Forks

    @property
    def is_here(self) -> bool:
        """Tells whether this is the process that it works for."""
        return self._pid == os.getpid()

    def check_fork(self) -> None:
        """Called before the lock is taken: after a fork its holder may exist only in the parent."""
        if self._pid != os.getpid():
            self.on_fork()

    def reinit_after_fork(self) -> None:
        """Empties it in the child of a fork: what waits is the parent's, and the locks are in any state."""
        for batch in self._open:
            batch.endpoint.open = None
        self.store.reinit_after_fork()
        self._reset()

    # Handing over

    def put(self, endpoint: Endpoint, event: bytes, wait: bool = True) -> bool | None:
        """Adds an event. True when it is kept; False when the policy drops it or it is too large; None, and it is not
        accepted, when it would have to wait for room and `wait` is not set."""
        if self._pid != _getpid():
            self.on_fork()
        if len(event) > MAX_EVENT_BYTES:
            return self._refuse(endpoint, event)
        with self.lock:
            if self._busy:
                self._late.append((endpoint, event))
                self._work.notify()
                return True
            self._busy = True
            try:
                kept = self._put(endpoint, (event,), len(event) + self._overhead)
                if self._late:
                    self._take_late()
            finally:
                self._busy = False
        if kept is None and wait:
            return self._put_waiting(endpoint, event)
        return self.store.sync() if self._always and kept else kept

    def put_many(self, endpoint: Endpoint, events: Sequence[bytes], wait: bool = True) -> int:
        """Adds events, as many at once as fit. Returns how many are dealt with, kept or dropped by the policy: fewer
        than all of them when `wait` is not set and there is no room."""
        self.check_fork()
        done = 0
        while done < len(events):
            batch = endpoint.open
            some = events[done : done + self._batch_events - (batch.count if batch else 0)]
            size = sum(map(len, some)) + self._overhead * len(some)
            if some and self._put_at_once(endpoint, some, size):
                done += len(some)
                continue
            # At the edge of a bound they go one at a time.
            if self.put(endpoint, events[done], wait) is None:
                break
            done += 1
        if self._always:
            self.store.sync()
        return done

    def _put_at_once(self, endpoint: Endpoint, events: Sequence[bytes], size: int) -> bool:
        with self.lock:
            batch = endpoint.open
            held = (batch.count, batch.size) if batch else (0, 0)
            fits = held[0] + len(events) <= self._batch_events and held[1] + size <= self._batch_bytes
            if self._busy or self.closed or not fits or not self._has_room(len(events), size):
                return False
            self._busy = True
            try:
                self._put(endpoint, events, size)
                return True
            finally:
                self._busy = False

    def _put(self, endpoint: Endpoint, events: Sequence[bytes], size: int) -> bool | None:
        count = len(events)
        batch = endpoint.open
        if batch is None or not self._has_room(count, size):
            if not (admitted := self._admit(count, size)):
                return admitted
            batch = endpoint.open or self._begin(endpoint)
        if batch is None or not self._append(batch, events, size):
            self.spool_failure = self.store.stats.last_error
            return self._drop(count, SPOOL)
        batch.size += size
        batch.count += count
        self.accepted += count
        if batch.count >= self._batch_events or batch.size >= self._batch_bytes:
            self._close(batch)
        return True

    def _put_waiting(self, endpoint: Endpoint, event: bytes) -> bool:
        deadline = time.monotonic() + self.limits.block_seconds
        while (kept := self.put(endpoint, event, wait=False)) is None:
            with self.lock:
                left = deadline - time.monotonic()
                if left <= 0:
                    return self.give_up()
                if not self._has_room(1, len(event) + self._overhead):
                    self._room.wait(left)
        return kept

    def _take_late(self) -> None:
        while self._late:
            endpoint, event = self._late.popleft()
            if self._put(endpoint, (event,), len(event) + self._overhead) is None:
                self._drop(1, FULL)

    def _begin(self, endpoint: Endpoint) -> Batch | None:
        """Opens a batch. A sender that sleeps has to learn by when it is due, and looks when the lock is free."""
        self.on_work()
        self._work.notify()
        if len(self._open) >= self.store.max_open:
            self._close(next(iter(self._open)))
        batch = Batch(endpoint, time.monotonic())
        if not self.store.begin(batch):
            return None
        self._live[batch] = self._open[batch] = None
        endpoint.open = batch
        return batch

    def _close(self, batch: Batch) -> None:
        # First, since a finalizer may hand over an event at any step.
        if batch.endpoint.open is batch:
            batch.endpoint.open = None
        if batch in self._open and not batch.count:
            del self._open[batch], self._live[batch]
            self.store.discard(batch)
        elif batch in self._open:
            batch.left = batch.count
            self.store.seal(batch)
            # One step after the other: a signal handler that raises must not leave it in neither.
            if batch in self._open:
                del self._open[batch]
                self._ready.append(batch)
            self._work.notify()

    def _close_open(self) -> None:
        for batch in list(self._open):
            self._close(batch)

    # No room

    def _admit(self, count: int, size: int) -> bool | None:
        """Tells whether there is room, or makes it; None when the events may wait for it."""
        if not self.closed:
            if self._has_room(count, size):
                return True
            if self.limits.policy == "drop_oldest" and self._make_room(count, size):
                return True
            if self.limits.policy == "block" and not self.stalled:
                self._close_open()
                return None
        return self._drop(count, CLOSED if self.closed else FULL)

    def _drop(self, count: int, why: str) -> bool:
        self.accepted += count
        self.drops[why] += count
        return False

    def give_up(self, *, in_vain: bool = True) -> bool:
        """Drops an event that `put` did not take for want of room; `in_vain` when that was waited for."""
        with self.lock:
            self.stalled |= in_vain
            return self._drop(1, FULL)

    def _refuse(self, endpoint: Endpoint, event: bytes) -> bool:
        why = f"the event has {len(event)} bytes, a client takes at most {MAX_EVENT_BYTES}"
        # Told before it counts: who waits until nothing is pending finds what was rejected.
        self.on_refused(Rejection(endpoint.name, event, why))
        with self.lock:
            self.accepted += 1
            self.rejected += 1
        return False

    def _make_room(self, count: int, size: int) -> bool:
        """Drops the oldest events that nobody has tried to send."""
        while not self._has_room(count, size):
            batch = self._ready[0] if self._ready else next((one for one in self._open if one.count), None)
            dropped = self.store.drop_oldest(batch) if batch is not None else 0
            if batch is None or not dropped:
                return False
            self.drops[FULL] += dropped
            if batch.key and not batch.left:
                self._ready.popleft()
                del self._live[batch]
            elif not batch.key and not batch.count:
                self._close(batch)
        return True

    # Sending

    def take(self, seconds: float = IDLE_SECONDS) -> Batch | None:
        """Returns the next batch; None when there is none within `seconds`, or for ever."""
        deadline = time.monotonic() + seconds
        with self.lock:
            while True:
                if self._late and not self._busy:
                    self._take_late()
                now = time.monotonic()
                due = self._close_due(now)
                if self._aside:
                    due = min(due, self._aside[0][0])
                    if due <= now:
                        return self._aside.popleft()[1]
                if self._recovered:
                    return self._recovered.popleft()
                if self._ready:
                    return self._ready.popleft()
                if now >= deadline or (self.closed and not self._aside):
                    return None
                self._work.wait(max(0.0, min(due, deadline) - now))

    def _close_due(self, now: float) -> float:
        """Closes the open batches that have waited. Returns by when the next one is due. Only who is free to send calls
        it: while the server is away batches fill up instead, which costs it and the spool less."""
        due = now + IDLE_SECONDS
        for batch in list(self._open):
            at = batch.opened + self.limits.linger_seconds
            if at <= now:
                self._close(batch)
            else:
                due = min(due, at)
        return due

    @property
    def dropped(self) -> int:
        return sum(self.drops.values())

    def put_aside(self, batch: Batch, seconds: float) -> None:
        """Takes a batch back that cannot be sent now. Others are sent meanwhile."""
        with self.lock:
            self._aside.append((time.monotonic() + seconds, batch))

    @property
    def waits(self) -> int:
        """Closed batches that nobody has taken."""
        return len(self._ready) + len(self._recovered)

    def cut(self, batch: Batch, indices: set[int]) -> None:
        """From now on the batch is sent in parts, split there."""
        with self.lock:
            self.store.cut(batch, indices)
            batch.cuts |= indices

    def settle(self, batch: Batch, start: int, end: int, rejected: int) -> None:
        """The events of a part are dealt with: stored, except for so many that are rejected."""
        with self.lock:
            if batch not in self._live:
                return  # the queue was ended, and a spool's files are whoever's who adopts them
            batch.settled.add((start, end))
            batch.left -= end - start
            self.rejected += rejected
            self.delivered += end - start - rejected
            self.stalled = False
            if not batch.left:
                del self._live[batch]
            self.store.settle(batch, start, end)
            if self.store.is_roomy:
                self._room.notify_all()
            self._settled.notify_all()

    def adopt(self, batches: Sequence[Batch]) -> None:
        """Takes over batches that other processes left. They are sent first."""
        with self.lock:
            self._recovered.extend(batches)
            self._live |= dict.fromkeys(batches)
            count = sum(batch.left for batch in batches)
            self.accepted += count
            self.recovered += count
            if batches:
                self.on_work()
            self._work.notify_all()
            self._settled.notify_all()

    # Waiting and counting

    @property
    def pending(self) -> int:
        """Events that are not settled. Counted anew, not kept: the account is checked against it."""
        with self.lock:
            return sum(batch.pending for batch in list(self._live)) + self.late

    @property
    def late(self) -> int:
        """Events of a signal handler that are taken when the call that it interrupted is done."""
        return len(self._late)

    @property
    def is_interrupted(self) -> bool:
        """Tells whether the caller is a signal handler or a finalizer that came inside `put`. Nobody can go on before
        that is done."""
        with self.lock:
            return self._busy

    def flush(self, seconds: float) -> int:
        """Waits until everything accepted so far is settled, and what other processes left. Returns how many events are
        not."""
        deadline = time.monotonic() + seconds
        with self.lock:
            self._take_late()
            self._close_open()
            awaited = set(self._live)
            self._work.notify_all()
            while True:
                awaited = {batch for batch in self._live if batch in awaited or batch.is_recovered}
                left = deadline - time.monotonic()
                if left <= 0 or not (awaited or self.store.searching):
                    return sum(batch.pending for batch in awaited)
                self._settled.wait(min(left, IDLE_SECONDS))

    def close(self) -> None:
        """Ends accepting; what waits is still sent."""
        with self.lock:
            self._take_late()
            self.closed = True
            self._close_open()
            self._work.notify_all()
            self._room.notify_all()

    def end(self) -> None:
        """Called once, after `close`, when nobody sends any more."""
        self.store.stop()
        with self.lock:
            self.store.close()
