"""A queue whose events are in files as well."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from forebay.client.batch import Batch
from forebay.client.frame import HEAD_BYTES
from forebay.client.lane import Lane, lane_of
from forebay.client.queue import EVENT_OVERHEAD, Limits, Queue
from forebay.client.segment import Found, Segment
from forebay.client.sender import SenderThread
from forebay.client.spool import Spool
from forebay.client.stats import SpoolAccount

SYNC_SECONDS = 0.1
"""So much is lost with the machine at most, beside what the sync itself takes."""

ADOPT_SECONDS = 15.0
"""How often files of processes that are gone are looked for."""

UNBOUNDED = 1 << 62


class SpooledQueue(Queue):
    """Bounded by the bytes of the spool; closed batches beyond `queue_bytes` are only in the files.

    Why an event is stored once, whatever ends the process: a batch's events carry its number in the file, and nothing
    is added to a batch once it is closed, which is before it is sent. So whoever finds the file makes the same body of
    them, and its key follows from the file's name and the number. Before a batch is sent for the first time its events
    are synced, so that this holds for the end of the machine as well: there is no batch at the server that the file
    does not have whole. What is settled is noted, unsynced: a note that is lost costs a request that the server
    recognises, as long as its window for keys has not passed.
    """

    def __init__(self, limits: Limits, directory: Path, limit: int, *, always: bool) -> None:
        self._spool = Spool(directory, limit)
        self._always = always
        self._held = 0
        self._dirty = False
        self._look_at = 0.0
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._looked = threading.Event()
        self._keeper: threading.Thread | None = None
        super().__init__(limits)
        self._max_events = self._max_bytes = UNBOUNDED

    def start(self) -> None:
        """The thread that syncs and that looks for files of others."""
        with self.lock:
            if self._keeper is None and not self._stop.is_set():
                self._keeper = SenderThread(target=self._keep, name="forebay-spool", daemon=True)
                try:
                    self._keeper.start()
                except RuntimeError as error:
                    # The interpreter is ending. The files outlive it, and `end` syncs them.
                    self._spool.account.last_error = str(error)
                    self._looked.set()

    def spool_account(self) -> SpoolAccount:
        return self._spool.account

    def forget(self) -> None:
        self._spool.forget()
        self._held = 0
        self._dirty = False
        self._keeper = None
        self._look_at = 0.0
        self._wake, self._looked = threading.Event(), threading.Event()
        ended, self._stop = self._stop.is_set(), threading.Event()
        if ended:
            self._stop.set()
        super().forget()

    # Handing over

    def offer(self, lane: Lane, text: bytes, wait: bool = True) -> bool | None:
        with self.lock:
            if self._inside:
                self._late.append((lane, text))
                return True
            self._inside = True
            try:
                kept = self._offer(lane, text, wait)
            finally:
                self._inside = False
            if self._late:
                self._catch_up()
            segment = self._spool.current
        return self._synced(segment) if self._always and kept and segment is not None else kept

    def _offer(self, lane: Lane, text: bytes, wait: bool) -> bool | None:
        size = len(text) + HEAD_BYTES
        spool = self._spool
        if lane.open is None or spool.account.bytes + size > spool.limit:
            kept = self._admit(size, wait)
            if not kept:
                return kept
        batch = lane.open or self._begun(lane)
        if batch is None or not self._write(batch, (text,)):
            self.accepted += 1
            self.dropped += 1
            return False
        self._extend(batch, (text,), size)
        return True

    def offer_all(self, lane: Lane, texts: Sequence[bytes], wait: bool = True) -> int:
        done = super().offer_all(lane, texts, wait)
        if self._always:
            with self.lock:
                segment = self._spool.current
            if segment is not None:
                self._synced(segment)
        return done

    def _offer_some(self, lane: Lane, texts: Sequence[bytes], start: int) -> int:
        self._inside = True
        try:
            batch = lane.open
            some = texts[start : start + self._batch_events - (len(batch.items or ()) if batch else 0)]
            size = sum(map(len, some)) + HEAD_BYTES * len(some)
            fits = self._spool.account.bytes + size <= self._spool.limit
            if not fits or (batch.size if batch else 0) + size > self._batch_bytes or self.closed:
                return 0
            batch = batch or self._begun(lane)
            return self._extend(batch, some, size) if batch is not None and self._write(batch, some) else 0
        finally:
            self._inside = False

    def _begun(self, lane: Lane) -> Batch | None:
        """A new open batch; None when the spool cannot be written."""
        place = None
        with self._spool.errors("the spool cannot be written"):
            place = self._spool.open(lane.name)
        if place is None:
            return None
        batch = self._opened(lane)
        batch.place = place
        if self._keeper is None:
            self.start()
        return batch

    def _write(self, batch: Batch, texts: Sequence[bytes]) -> bool:
        assert batch.place is not None  # noqa: S101
        try:
            if len(texts) == 1:
                self._spool.add_one(batch.place, texts[0])
            else:
                self._spool.add(batch.place, texts)
        except OSError as error:
            self._spool.account.errors += 1
            self._spool.account.last_error = f"the spool cannot be written: {error.strerror or error}"
            return False
        if not self._dirty:
            self._dirty = True
            self._wake.set()
        return True

    def _synced(self, segment: Segment) -> bool:
        errors = self._spool.account.errors
        with self._spool.errors("the spool cannot be synced"):
            segment.sync(segment.size)
        return errors == self._spool.account.errors

    def _close(self, batch: Batch) -> None:
        if not batch.items:
            # Its first event could not be written.
            batch.lane.open = None
            self._open.pop(batch)
            self._live.pop(batch)
            if batch.place is not None:
                batch.place.segment.unsettled.discard(batch.place.number)
            return
        super()._close(batch)
        if self._held + batch.size > self.limits.bytes:
            batch.items = None
        else:
            self._held += batch.size
        if self._spool.is_full:
            self.close_open()
            segment = self._spool.current
            self._spool.retire()
            if self._always and segment is not None:
                # Whoever handed an event over for it looks at the next file.
                self._synced(segment)

    def _key(self, batch: Batch) -> str:
        assert batch.place is not None  # noqa: S101
        return batch.place.key

    # No room

    def _has_room(self, size: int) -> bool:
        return not self._live or self._spool.account.bytes + size <= self._spool.limit

    def _make_room(self, size: int) -> bool:
        """Drops the oldest file, as far as nobody sends its events; the next one when that makes no room, since one
        that somebody sends stays."""
        while not self._has_room(size):
            if not self._ready:
                return False
            segment = self._ready[0].place.segment if self._ready[0].place else None
            while self._ready and self._ready[0].place and self._ready[0].place.segment is segment:
                batch = self._ready.popleft()
                for start, end in batch.parts():
                    self.dropped += end - start
                    self._note(batch, start, end)
                self._release(batch)
        return True

    # Sending

    def sync(self, batch: Batch) -> None:
        if batch.place is not None:
            with self._spool.errors("the spool cannot be synced"):
                batch.place.segment.sync(batch.place.end)

    def cut(self, batch: Batch, indices: Iterable[int]) -> None:
        indices = list(indices)
        with self.lock:
            if batch.place is not None:
                self._spool.cut(batch.place, indices)
            super().cut(batch, indices)

    def settle(self, batch: Batch, start: int, end: int, rejected: int) -> None:
        with self.lock:
            # After the end the files are whoever's who adopts them.
            if batch in self._live:
                super().settle(batch, start, end, rejected)
                self._note(batch, start, end)

    def _note(self, batch: Batch, start: int, end: int) -> None:
        batch.settled.add((start, end))
        if batch.place is not None:
            left = sum(high - low for low, high in batch.settled) < batch.count
            self._spool.settle(batch.place, start, end, whole=not left)

    def _release(self, batch: Batch) -> None:
        if self._live.pop(batch, batch) is batch:
            return
        if batch.items is not None:
            self._held -= batch.size
        if self._waiting:
            self._room.notify_all()

    # Beside

    def flush(self, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        if self._keeper is not None:
            # What others left counts as handed over before.
            self._looked.wait(seconds)
        return super().flush(max(0.0, deadline - time.monotonic()))

    def end(self) -> None:
        self._stop.set()
        self._wake.set()
        self._spool.sync()
        with self.lock:
            self._spool.close()

    def look(self) -> None:
        self._look_at = 0.0
        self._wake.set()

    def _keep(self) -> None:
        wake, looked, stop = self._wake, self._looked, self._stop
        while not stop.is_set():
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + ADOPT_SECONDS
                self._look()
                looked.set()
            if wake.wait(max(0.0, self._look_at - time.monotonic())):
                stop.wait(SYNC_SECONDS)
                wake.clear()
                # Before the sync: what is written from now on sets it anew.
                self._dirty = False
                self._spool.sync()

    def _look(self) -> None:
        """Adopts what processes that are gone have left: all of it at once, so that the oldest is sent first."""
        adopted: list[tuple[Segment, list[Batch], int]] = []
        with self._spool.errors("the spool cannot be read"):
            for path in self._spool.orphans():
                if self._stop.is_set():
                    break
                if (segment := Segment.adopt(path)) is None:
                    continue
                try:
                    found, damaged = segment.found()
                    adopted.append((segment, [self._batch(one) for one in found], damaged))
                except (ValueError, OSError) as error:
                    segment.close()
                    self._spool.account.errors += 1
                    self._spool.account.last_error = f"{path.name} is left as it is: {error}"
        if adopted:
            self._adopt(adopted)

    def _batch(self, found: Found) -> Batch:
        batch = Batch(lane_of(found.lane), 0.0, found.place)
        batch.items = None
        batch.key = found.place.key
        batch.count = found.count
        batch.size = found.size + EVENT_OVERHEAD * found.count
        batch.cuts, batch.settled = found.cuts, found.settled
        batch.left = found.count - sum(end - start for start, end in found.settled)
        batch.recovered = True
        return batch

    def _adopt(self, adopted: list[tuple[Segment, list[Batch], int]]) -> None:
        with self.lock:
            if self._stop.is_set():
                for segment, _, _ in adopted:
                    segment.close()
                return
            for segment, batches, damaged in adopted:
                self._spool.adopted(segment, damaged, empty=not batches)
            found = [batch for _, batches, _ in adopted for batch in batches]
            self._ready.extendleft(reversed(found))
            self._live |= dict.fromkeys(found)
            count = sum(batch.left for batch in found)
            self.accepted += count
            self.recovered += count
            if found:
                self.on_work()
                self._work.notify_all()
