"""A store whose events are in files as well.

Each process has a directory of its own within the spool, with a file for each batch, and holds a lock (`flock`) there
that goes with the process, however that ends. So any number of processes, forked workers too, share one spool; the
directory of a process that is gone is adopted by whoever looks next.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

from forebay.client.batch import Batch
from forebay.client.queue import Limits, Queue, Store
from forebay.client.spool.files import LINE_BYTES, SUFFIX, BatchFile, LockedDirectory, key_of, pack, recover
from forebay.client.spool.worker import SpoolWorker
from forebay.client.stats import SpoolStats

CORRUPT = ".corrupt"

OPEN_FILES = 64
"""Batches that are open at a time, of as many streams: each takes a descriptor, of the 1024 that a process has by
default."""

ADOPTED_DIRECTORIES = 32
"""Directories of other processes that are taken over at a time, for the same reason: there may be thousands. The next
ones follow when half of these are delivered."""

MAKING_TRIES = 10
"""Who looks for orphans may take a directory before it is locked, for which he has some microseconds every 15 s."""


class SpoolStore(Store):
    """Bounded by the bytes of its files; closed batches beyond the limits' `bytes` are only there. What others left is
    sent first, and takes no room.

    Why an event is stored once, whatever ends the process: nothing is added to a batch once it is closed, which is
    before it is sent. So whoever finds its file makes the same body of it, and its key follows from the file's name.
    Before a batch is sent for the first time its file is synced, so that this holds for the end of the machine as well:
    there is no batch at the server that the file does not have whole. What is settled is removed or noted, unsynced: a
    note that is lost costs a request that the server recognises, as long as its window for keys has not passed.
    """

    overhead = LINE_BYTES
    is_roomy = True
    max_open = OPEN_FILES

    def __init__(self, limits: Limits, directory: Path, max_bytes: int, *, always: bool = False) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.limits = limits
        self.always = always
        self._directory = directory
        self._max_bytes = max_bytes
        self._reset()

    def _reset(self) -> None:
        self.stats = SpoolStats()
        self._queue: Queue | None = None
        self._worker = SpoolWorker(self.sync, self._search)
        self._directories: dict[LockedDirectory, None] = {}
        """Its own and those that it has adopted."""
        self._own: LockedDirectory | None = None
        """What others left was within their limits, and takes no room from this one."""
        self._in_memory = 0
        """Bytes of closed batches that are held in memory, too."""
        self._has_searched = False
        self._more = False
        """There may be directories of others that are not taken over yet."""

    @property
    def file_bytes(self) -> int:  # type: ignore[override]
        return sum(directory.bytes for directory in list(self._directories))

    def _failed(self, what: str, error: OSError) -> bool:
        self.stats.errors += 1
        self.stats.last_error = f"{what}: {error.strerror or error}"
        return False

    # Writing

    def has_room(self, events: int, size: int) -> bool:
        own = self._own
        # An event that is larger than the whole bound goes when nothing else of this process waits.
        return own is None or own.bytes + size <= self._max_bytes or not own.batches

    def begin(self, batch: Batch) -> bool:
        self._start_worker()
        try:
            if self._own is not None:
                with contextlib.suppress(FileNotFoundError):
                    self._own.begin(batch)
                    return True
                # Somebody removed it, as who clears away old directories does.
                self.stats.last_error = f"the spool's directory {self._own.path} was removed, another is made"
                removed, self._own = self._own, None
                self._remove_settled(removed)
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._own = self._made()
            self._directories[self._own] = None
            self._own.begin(batch)
        except OSError as error:
            return self._failed("the spool cannot be written", error)
        return True

    def _made(self) -> LockedDirectory:
        for _ in range(MAKING_TRIES):
            # In the order of their making.
            name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
            if (made := LockedDirectory.create(self._directory / name)) is not None:
                return made
        raise OSError(f"each of {MAKING_TRIES} directories was taken by who looks for orphans")

    def append(self, batch: Batch, events: Sequence[bytes], size: int) -> bool:
        try:
            batch.file.append(pack(events[0]) if len(events) == 1 else b"".join(map(pack, events)))  # type: ignore[union-attr]
        except OSError as error:
            return self._failed("the spool cannot be written", error)
        batch.events += events  # type: ignore[operator]
        if not self._worker.dirty:
            self._worker.mark_dirty()
        return True

    def seal(self, batch: Batch) -> None:
        file = _file(batch)
        file.close()
        batch.key = key_of(file.path)
        if self._in_memory + batch.size > self.limits.bytes:
            batch.events = None
        else:
            self._in_memory += batch.size

    def sync(self, batch: Batch | None = None) -> bool:
        try:
            if self._own is not None:
                self._own.sync()
            if batch is not None:
                _file(batch).sync()
            elif self._own is not None:
                for one in list(self._own.batches):
                    _file(one).sync()
        except OSError as error:
            return self._failed("the spool cannot be synced", error)
        return True

    # Settling

    def discard(self, batch: Batch) -> None:
        self._remove(batch)

    def drop_oldest(self, batch: Batch) -> int:
        """Drops the whole batch, for its file."""
        if not batch.key:
            return 0
        dropped, batch.left = batch.left, 0
        self._remove(batch)
        return dropped

    def settle(self, batch: Batch, start: int, end: int) -> None:
        if batch.left:
            self._note(batch, "settled", start, end, batch.count)
        else:
            self._remove(batch)

    def cut(self, batch: Batch, indices: Iterable[int]) -> None:
        for index in sorted(indices):
            self._note(batch, "cut", index, batch.count)

    def _note(self, batch: Batch, *words: object) -> None:
        file = _file(batch)
        if batch not in file.directory.batches:
            return  # it was given up, and is whoever's who adopts it
        try:
            file.note(*words)
        except OSError as error:
            self._failed("the spool cannot be written", error)

    def _remove(self, batch: Batch) -> None:
        file = _file(batch)
        directory = file.directory
        if batch not in directory.batches:
            return  # it was given up, and is whoever's who adopts it
        del directory.batches[batch]
        if batch.key and batch.events is not None:
            self._in_memory -= batch.size
        try:
            file.remove()
        except OSError as error:
            # It is tried again with the next look at the spool, not with each file that follows.
            directory.settled.append(file)
            self._failed("a finished file cannot be removed", error)
        self._give_up_finished(directory)
        if self._more and self._adopted * 2 <= ADOPTED_DIRECTORIES:
            self._worker.search_soon()

    @property
    def _adopted(self) -> int:
        return sum(directory.adopted for directory in list(self._directories))

    def _remove_settled(self, directory: LockedDirectory) -> None:
        try:
            directory.remove_settled()
        except OSError as error:
            self._failed("a finished file cannot be removed", error)
        self._give_up_finished(directory)

    def _give_up_finished(self, directory: LockedDirectory) -> None:
        if directory is not self._own and not directory.batches and not directory.settled:
            self._give_up(directory)

    def _give_up(self, directory: LockedDirectory) -> None:
        self._directories.pop(directory, None)
        try:
            directory.close()
        except OSError as error:
            self._failed("a directory of the spool cannot be given up", error)

    def keep_damaged(self, batch: Batch) -> str:
        path = _file(batch).path
        kept = self._corrupt(path)
        try:
            path.rename(kept)
        except OSError:
            return ""
        return str(kept)

    def _corrupt(self, path: Path) -> Path:
        """Returns where the damage of a batch's file goes."""
        return self._directory / f"{path.parent.name}-{path.stem}{CORRUPT}"

    # What others left

    def start(self, queue: Queue) -> None:
        self._queue = queue
        self._start_worker()

    def _start_worker(self) -> None:
        try:
            if self._queue is not None:
                self._worker.start()
        except RuntimeError as error:
            # The files outlive the process without it, too.
            self.stats.last_error = str(error)

    @property
    def searching(self) -> bool:  # type: ignore[override]
        return self._worker.is_running and (self._more or not self._has_searched)

    def search(self) -> None:
        self._worker.search_soon()

    def _search(self) -> None:
        """Adopts what processes that are gone have left, the oldest first, as far as there may be so many directories.
        On the worker's thread."""
        queue, more = self._queue, False
        if queue is None:
            return
        with queue.lock:
            # Once more, should an earlier removal have failed.
            for directory in list(self._directories):
                self._remove_settled(directory)
        try:
            mine = {directory.path for directory in list(self._directories)}
            for path in sorted(path for path in self._directory.iterdir() if path.is_dir() and path not in mine):
                if more := self._adopted >= ADOPTED_DIRECTORIES:
                    break
                if self._worker.stopped:
                    return
                try:
                    found = LockedDirectory.adopt(path)
                except OSError as error:
                    # Another user's, maybe: those that follow are not.
                    self._failed(f"{path.name} is left as it is", error)
                    continue
                if found is not None:
                    # Known from now on, so that the child of a fork closes it.
                    self._directories[found] = None
                    self._adopt(queue, found)
        except OSError as error:
            self._failed("the spool cannot be read", error)
        with queue.lock:
            self._more = more
            self._has_searched = True
            queue.adopt(())

    def _adopt(self, queue: Queue, directory: LockedDirectory) -> None:
        batches: list[Batch] = []
        damaged = 0
        for path in sorted(directory.path.glob(f"*{SUFFIX}")):
            try:
                batch, bad = recover(directory, path)
                if bad:
                    damaged += len(bad)
                    _put_aside(self._corrupt(path), bad)
                if batch is not None and batch.left > 0:
                    batches.append(batch)
                else:
                    path.unlink()
            except (ValueError, OSError) as error:
                self.stats.errors += 1
                self.stats.last_error = f"{directory.path.name}/{path.name} is left as it is: {error}"
        with queue.lock:
            self.stats.corrupt_bytes += damaged
            if damaged:
                self.stats.last_error = f"{directory.path.name}: {damaged} damaged bytes were put aside"
            if not batches or self._worker.stopped:
                self._give_up(directory)
                return
            directory.batches = dict.fromkeys(batches)
            directory.bytes = sum(_file(batch).size for batch in batches)
            queue.adopt(batches)

    # The end

    def stop(self) -> None:
        self._worker.stop()
        self.sync()

    def close(self) -> None:
        for directory in list(self._directories):
            directory.batches.clear()
            self._remove_settled(directory)
            self._give_up(directory)

    def reinit_after_fork(self) -> None:
        for directory in list(self._directories):
            directory.forget()
        queue, worker = self._queue, self._worker
        self._reset()
        self._queue = queue
        if worker.stopped:
            self._worker.stop()


def _file(batch: Batch) -> BatchFile:
    assert batch.file is not None  # noqa: S101
    return batch.file


def _put_aside(path: Path, damaged: bytes) -> None:
    """Keeps damaged bytes on the disk, whole each time that they are found. Raises OSError."""
    with path.open("wb") as file:
        file.write(damaged)
        file.flush()
        os.fsync(file.fileno())
