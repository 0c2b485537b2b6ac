"""A queue whose events are in files as well."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from forebay.client.batch import Batch
from forebay.client.frame import HEAD_BYTES
from forebay.client.keeper import Keeper
from forebay.client.lane import Lane, lane_of
from forebay.client.limits import Limits
from forebay.client.queue import EVENT_OVERHEAD, IDLE_SECONDS, Queue
from forebay.client.segment import Found, Segment
from forebay.client.spool import ADOPTED_FILES, Spool
from forebay.client.stats import SpoolAccount

UNBOUNDED = 1 << 62


class SpooledQueue(Queue):
    """Bounded by the bytes of the spool; closed batches beyond `queue_bytes` are only in the files. What others left
    there is sent first, and takes no room.

    Why an event is stored once, whatever ends the process: a batch's events carry its number in the file, and nothing
    is added to a batch once it is closed, which is before it is sent. So whoever finds the file makes the same body of
    them, and its key follows from the file's name and the number. Before a batch is sent for the first time its events
    are synced, so that this holds for the end of the machine as well: there is no batch at the server that the file
    does not have whole. What is settled is noted, unsynced: a note that is lost costs a request that the server
    recognises, as long as its window for keys has not passed.
    """

    def __init__(self, limits: Limits, directory: Path, limit: int, *, always: bool) -> None:
        self._spool = Spool(directory, limit)
        self._keeper = self._new_keeper()
        self._always = always
        super().__init__(limits)
        self._max_events = self._max_bytes = UNBOUNDED

    def _clear(self) -> None:
        super()._clear()
        self._held = 0
        self._found: deque[Batch] = deque()
        self._more = False
        """Whether there may be files of others that are not taken over yet."""

    def start(self) -> None:
        """The thread that syncs and that looks for files of others. Without it the files outlive the process, too, and
        `end` syncs them."""
        self._keeper.start()

    def _new_keeper(self) -> Keeper:
        return Keeper(self._spool.sync, self._look, self._not_kept)

    def _not_kept(self, why: str) -> None:
        self._spool.account.last_error = why

    def spool_account(self) -> SpoolAccount:
        return self._spool.account

    def forget(self) -> None:
        self._spool.forget()
        ended, self._keeper = self._keeper.stopped, self._new_keeper()
        if ended:
            self._keeper.stop()
        super().forget()

    # Handing over

    def offer(self, lane: Lane, text: bytes, wait: bool = True) -> bool | None:
        kept = super().offer(lane, text, wait)
        return self._synced() if self._always and kept else kept

    def offer_all(self, lane: Lane, texts: Sequence[bytes], wait: bool = True) -> int:
        done = super().offer_all(lane, texts, wait)
        if self._always:
            self._synced()
        return done

    def _put(self, lane: Lane, text: bytes) -> bool | None:
        size = len(text) + HEAD_BYTES
        spool = self._spool
        while True:
            batch = lane.open
            if batch is None or spool.own + size > spool.limit:
                if not (kept := self._admit(size)):
                    return kept
                batch = lane.open or self._begun(lane)
            end = self._written(batch, (text,)) if batch is not None else 0
            if batch is None or not end:
                return self._dropped()
            if self._add(batch, (text,), end):
                return True

    def _put_some(self, lane: Lane, texts: Sequence[bytes], start: int) -> int:
        batch = lane.open
        some = texts[start : start + self._batch_events - (batch.count if batch else 0)]
        size = sum(map(len, some)) + HEAD_BYTES * len(some)
        fits = self._spool.own + size <= self._spool.limit
        if not some or not fits or (batch.size if batch else 0) + size > self._batch_bytes or self.closed:
            return 0
        batch = batch or self._begun(lane)
        end = self._written(batch, some) if batch is not None else 0
        return len(some) if batch is not None and end and self._add(batch, some, end) else 0

    def _begun(self, lane: Lane) -> Batch | None:
        """A new open batch; None when the spool cannot be written, or is to be no more."""
        if not self._keeper.runs:
            self.start()
        self._tell()
        batch = Batch(lane, time.monotonic())
        while True:
            place = None
            with self._spool.errors("the spool cannot be written"):
                place = self._spool.open(lane.name)
            if place is None:
                return None
            # Whole.
            if self.closed:
                return None
            if place.segment is self._spool.current:
                batch.place = place
                place.segment.unsettled |= {place.number}
                self._live[batch] = self._open[batch] = None
                lane.open = batch
                return batch

    def _written(self, batch: Batch, texts: Sequence[bytes]) -> int:
        """Where the events end in the batch's file; 0 when it cannot be written."""
        assert batch.place is not None  # noqa: S101
        try:
            end = self._spool.write(batch.place, texts)
        except OSError as error:
            self._spool.account.errors += 1
            self._spool.account.last_error = f"the spool cannot be written: {error.strerror or error}"
            return 0
        keeper = self._keeper
        if not keeper.dirty:
            # Whole, so without the calls of a context manager.
            keeper.dirty = True
            try:  # noqa: SIM105
                keeper.wake.release()
            except RuntimeError:
                pass
        return end

    def _add(self, batch: Batch, texts: Sequence[bytes], end: int) -> bool:
        """Events that were written; False when the batch was closed in the meantime, by a signal's handler."""
        lane, place, spool, count = batch.lane, batch.place, self._spool, len(texts)
        segment = place.segment  # type: ignore[union-attr]
        # Whole.
        if lane.open is not batch or segment.written != end:
            return False
        grown = end - segment.size
        segment.size = place.end = end  # type: ignore[union-attr]
        spool.own += grown
        spool.account.bytes += grown
        batch.size += grown
        batch.count += count
        self.accepted += count
        if full := batch.size >= self._batch_bytes or batch.count >= self._batch_events:
            lane.open = None
        batch.items += texts  # type: ignore[operator]
        if full:
            self._close(batch)
        return True

    def _synced(self) -> bool:
        """What was handed over is on the disk. A file that is full was synced before there was another."""
        segment = self._spool.current
        errors = self._spool.account.errors
        if segment is not None:
            self._sync(segment, segment.size)
        return errors == self._spool.account.errors

    def _sync(self, segment: Segment, upto: int) -> None:
        with self._spool.errors("the spool cannot be synced"):
            segment.sync(upto)

    def _close(self, batch: Batch) -> None:
        super()._close(batch)
        if batch.key and not batch.weight:
            if self._held + batch.size > self.limits.bytes:
                batch.items = None
            elif batch in self._live:
                # Whole.
                self._held += batch.size
                batch.weight = batch.size
        if self._spool.is_full:
            self.close_open()
            if self._always:
                # Whoever handed an event over for it looks at the next file.
                self._synced()
            self._spool.retire()

    def _discard(self, batch: Batch) -> None:
        # Whole.
        if batch in self._open:
            if batch.place is not None:
                batch.place.segment.unsettled -= {batch.place.number}
            super()._discard(batch)

    def _key(self, batch: Batch) -> str:
        assert batch.place is not None  # noqa: S101
        return batch.place.key

    # No room

    def _has_room(self, size: int) -> bool:
        return self._spool.own + size <= self._spool.limit or self._spool.is_idle

    def _make_room(self, size: int) -> bool:
        """Drops the oldest file, as far as nobody sends its events; the next one when that makes no room, since one
        that somebody sends stays. What others left is not dropped."""
        while not self._has_room(size):
            if not self._ready:
                return False
            place = self._ready[0].place
            while self._ready and self._ready[0].place and place and self._ready[0].place.segment is place.segment:
                self._drop(self._ready[0])
        return True

    def _drop(self, batch: Batch) -> None:
        place, parts = batch.place, batch.parts()
        # Whole.
        if place is None or not self._ready or self._ready[0] is not batch:
            return
        del self._ready[0]
        del self._live[batch]
        self.dropped += batch.left
        batch.left = 0
        self._held -= batch.weight
        place.segment.unsettled -= {place.number}
        for start, end in parts:
            self._spool.settle(place, start, end, whole=False)
        self._spool.remove_if_settled(place.segment)

    # Sending

    def _next(self) -> Batch | None:
        return self._found.popleft() if self._found else super()._next()

    @property
    def waits(self) -> int:
        return len(self._found) + super().waits

    def sync(self, batch: Batch) -> None:
        if batch.place is not None:
            self._sync(batch.place.segment, batch.place.end)

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
                if batch.place is not None:
                    self._spool.settle(batch.place, start, end, whole=not batch.left)
                self._look_for_more()

    def _release(self, batch: Batch) -> None:
        if self._live.pop(batch, batch) is batch:
            return
        self._held -= batch.weight
        self._room.ring_all()

    # Beside

    def flush(self, seconds: float) -> int:
        """What others left counts as handed over before."""
        deadline = time.monotonic() + seconds
        while True:
            found = not self._keeper.asked or self._keeper.stopped or (self._keeper.looked and not self._more)
            left = super().flush(max(0.0, deadline - time.monotonic()))
            with self.lock:
                rest = deadline - time.monotonic()
                if found or rest <= 0:
                    return left
                if self._keeper.looked and not self._more:
                    continue
                bell = self._settled.hang()
            self.start()
            self._await(self._settled, bell, min(rest, IDLE_SECONDS))

    def end(self) -> None:
        self._keeper.stop()
        if not self._is_inside():
            self._keeper.join()
        self._spool.sync()
        with self.lock:
            self._spool.close()

    def look(self) -> None:
        self._keeper.look()

    def _look_for_more(self) -> None:
        if self._more and self._spool.adopted_files * 2 <= ADOPTED_FILES:
            self._keeper.look()

    def _look(self) -> None:
        """Adopts what processes that are gone have left, the oldest first, as far as there may be so many files."""
        adopted: list[tuple[Segment, list[Batch], int]] = []
        more = False
        free = ADOPTED_FILES - self._spool.adopted_files
        with self._spool.errors("the spool cannot be read"):
            for path in self._spool.orphans():
                if more := len(adopted) >= free:
                    break
                if self._keeper.stopped:
                    break
                if (segment := self._spool.adopt(path)) is None:
                    continue
                try:
                    found, damaged = segment.found()
                    adopted.append((segment, [self._batch(one) for one in found], damaged))
                except (ValueError, OSError) as error:
                    self._spool.leave(segment)
                    self._spool.account.errors += 1
                    self._spool.account.last_error = f"{path.name} is left as it is: {error}"
        self._adopt(adopted, more)

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

    def _adopt(self, adopted: list[tuple[Segment, list[Batch], int]], more: bool) -> None:
        with self.lock:
            if not self._away:
                self._spool.tidy()
            if self._keeper.stopped:
                for segment, _, _ in adopted:
                    self._spool.leave(segment)
                return
            for segment, _, damaged in adopted:
                self._spool.adopted(segment, damaged)
            found = [batch for _, batches, _ in adopted for batch in batches]
            self._found.extend(found)
            self._live |= dict.fromkeys(found)
            count = sum(batch.left for batch in found)
            self.accepted += count
            self.recovered += count
            if found:
                self.on_work()
                self._work.ring_all()
            self._keeper.looked = True
            self._more = more
            self._look_for_more()
            self._settled.ring_all()
