"""One file of a spool, and the ledger beside it.

The lock on the file (`flock`) says whose it is: it goes with the process, however that ends, and then the file is
anybody's who takes the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from forebay.client.frame import (
    CUT,
    ENTRY_BYTES,
    EVENT,
    FAMILY,
    HEAD_BYTES,
    MAGIC,
    OPEN,
    SETTLED,
    Damage,
    pack_entry,
    scan,
    scan_entries,
)

SUFFIX = ".spool"
LEDGER = ".ledger"
CORRUPT = ".corrupt"
MAKING = ".making"


@dataclass(slots=True)
class Found:
    """A batch in the file of another process."""

    number: int
    lane: str
    place: Place
    count: int = 0
    size: int = 0
    cuts: set[int] = field(default_factory=set)
    settled: set[tuple[int, int]] = field(default_factory=set)


class Place:
    """Where in a segment the events of a batch are."""

    __slots__ = ("end", "number", "segment", "start")

    def __init__(self, segment: Segment, number: int, start: int, end: int) -> None:
        self.segment = segment
        self.number = number
        self.start = start
        self.end = end

    @property
    def key(self) -> str:
        """The batch's idempotency key. It follows from the file's name and the number, so that whoever sends the
        batch sends it under the same one."""
        return f"{self.segment.name.rpartition('-')[2]}-{self.number}"

    def read(self) -> list[bytes]:
        """The events. Raises OSError."""
        text = self.segment.read(self.start, self.end)
        return [
            text[frame.start + HEAD_BYTES : frame.end]
            for frame in scan(text)
            if not isinstance(frame, Damage) and frame.kind == EVENT and frame.batch == self.number
        ]


class Segment:
    """An open and locked file. What changes it or the ledger is for one thread at a time, the queue's lock sees to
    that; `sync` and `read` are for any.

    Its descriptors belong to objects that close them, also when a signal's handler raises before anybody knows them.
    """

    def __init__(self, path: Path, file: io.FileIO, size: int) -> None:
        self.path = path
        self.name = path.name.removesuffix(SUFFIX)
        self.size = size
        """As far as it goes. What is written beyond is not part of it, until this says so."""
        self.written = size
        """As far as it is written; -1 when that is not known."""
        self.unsettled: set[int] = set()
        self.retired = False
        """Nothing is appended any more: when everything is settled, it goes."""
        self.adopted = False
        """Another process wrote it."""
        self._file = file
        self._descriptor = file.fileno()
        self._ledger: io.FileIO | None = None
        self._synced = 0
        self._guard = threading.RLock()

    @classmethod
    def create(cls, directory: Path, name: str) -> Segment:
        """Under another name until it is locked: nobody must take it for an orphan before."""
        making = directory / f"{name}{MAKING}"
        path = directory / f"{name}{SUFFIX}"
        file = io.FileIO(making, "a+", opener=_opener())
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(file.fileno(), MAGIC)
            making.rename(path)
            return cls(path, file, len(MAGIC))
        except BaseException:
            making.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            file.close()
            raise

    @classmethod
    def adopt(cls, path: Path) -> Segment | None:
        """None when its process lives, or another has taken it. Raises OSError."""
        try:
            file = io.FileIO(path, "r+")
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have finished it in the meantime.
            status = os.fstat(file.fileno())
            if status.st_nlink:
                segment = cls(path, file, status.st_size)
                segment.adopted = True
                return segment
        except BlockingIOError:
            pass
        file.close()
        return None

    # Writing

    def write(self, text: bytes) -> int:
        """Behind what belongs to the file; where it then ends. Raises OSError, and then nothing of it is there."""
        if self.written != self.size:
            # An earlier one was broken off, or not wanted.
            os.ftruncate(self._descriptor, self.size)
        self.written = -1
        end = self.size + len(text)
        rest = text
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.written = end
        return end

    def sync(self, upto: int) -> None:
        """To the disk, at least the bytes before `upto`. Raises OSError."""
        if self._synced >= upto or self._descriptor < 0:
            return
        # Without the guard: a signal's handler may wait for a sender, in the middle of this, and the sender for this.
        end = self.size
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            if self._descriptor < 0:
                return
            raise
        if not self._synced:
            # Its name, too.
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        self._synced = max(self._synced, end)

    def settle(self, number: int, start: int, end: int) -> None:
        self._note(pack_entry(SETTLED, number, start, end))

    def cut(self, number: int, at: int) -> None:
        self._note(pack_entry(CUT, number, at, at))

    def _note(self, entry: bytes) -> None:
        with self._guard:
            if self._descriptor < 0:
                return
            if self._ledger is None:
                ledger = io.FileIO(self.path.with_suffix(LEDGER), "a+", opener=_opener())
                size = os.fstat(ledger.fileno()).st_size
                if torn := size % ENTRY_BYTES:
                    os.ftruncate(ledger.fileno(), size - torn)
                self._ledger = ledger
            os.write(self._ledger.fileno(), entry)

    # Reading

    def read(self, start: int, end: int) -> bytes:
        with self._guard:
            pieces = []
            while start < end and (piece := os.pread(self._descriptor, end - start, start)):
                pieces.append(piece)
                start += len(piece)
        return b"".join(pieces)

    def found(self) -> tuple[list[Found], int]:
        """Its batches that are not settled, in their order, and how many bytes are damaged: those are copied to a
        file beside it.

        Raises:
            ValueError: it is of another version.
            OSError: it cannot be read, or the copy not written.
        """
        text = self.read(0, self.size)
        if text.startswith(FAMILY) and not text.startswith(MAGIC):
            raise ValueError(f"{self.path.name} is of version {text[len(FAMILY) : len(MAGIC)]!r}, this reads 1")
        batches: dict[int, Found] = {}
        bad: list[bytes] = []
        for frame in scan(text, len(MAGIC) if text.startswith(MAGIC) else 0):
            if isinstance(frame, Damage):
                bad.append(text[frame.start : frame.end])
            elif frame.kind == OPEN:
                name = text[frame.start + HEAD_BYTES : frame.end].decode()
                batches[frame.batch] = Found(frame.batch, name, Place(self, frame.batch, frame.start, frame.end))
            elif (batch := batches.get(frame.batch)) is not None:
                batch.place.end = frame.end
                batch.count += 1
                batch.size += frame.end - frame.start
            else:
                # Its batch's first frame is damaged: where it goes is not known.
                bad.append(text[frame.start : frame.end])
        if bad:
            self._put_aside(bad)
        self._read_ledger(batches)
        left = [batch for batch in batches.values() if batch.count and not _is_settled(batch)]
        self.unsettled = {batch.number for batch in left}
        return left, sum(map(len, bad))

    def _read_ledger(self, batches: dict[int, Found]) -> None:
        try:
            text = self.path.with_suffix(LEDGER).read_bytes()
        except FileNotFoundError:
            return
        for kind, number, start, end in scan_entries(text):
            if (batch := batches.get(number)) is None:
                continue
            if kind == SETTLED:
                batch.settled.add((start, end))
            elif kind == CUT:
                batch.cuts.add(start)

    def _put_aside(self, pieces: list[bytes]) -> None:
        # Whole each time it is found: the segment stays as it is until everything in it is delivered.
        with self.path.with_suffix(CORRUPT).open("wb") as file:
            file.write(b"".join(pieces))
            file.flush()
            os.fsync(file.fileno())

    # The end

    def remove(self) -> None:
        """Everything is settled. The ledger goes last: without it everything would count as left."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(LEDGER).unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Gives the file up to whoever locks it: by itself the lock would stay as long as another thread is in the
        middle of a sync."""
        with self._guard:
            if self._descriptor >= 0:
                with contextlib.suppress(OSError):
                    fcntl.flock(self._file, fcntl.LOCK_UN)
            self._let_go()

    def forget(self) -> None:
        """In the child of a fork, where a thread that is not there may hold the guard. The lock belongs to the open
        file, which is its parent's as well."""
        self._guard = threading.RLock()
        self._let_go()

    def _let_go(self) -> None:
        self._descriptor = -1
        for file in (self._file, self._ledger):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
        self._ledger = None


def _opener() -> Callable[[str, int], int]:
    # Events are nobody else's.
    return partial(os.open, mode=0o600)


def _is_settled(batch: Found) -> bool:
    return sum(end - start for start, end in batch.settled) >= batch.count
