"""One file of a spool, and the ledger beside it.

The lock on the file (`flock`) says whose it is: it goes with the process, however that ends, and then the file is
anybody's who takes the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from dataclasses import dataclass, field
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

_MODE = 0o600
"""Events are nobody else's."""


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
    """An open and locked file. `append` and what changes the ledger are for one thread at a time, the queue's lock
    sees to that; `sync` and `read` are for any."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.name = path.name.removesuffix(SUFFIX)
        self.size = size
        self.unsettled: set[int] = set()
        self.retired = False
        """Nothing is appended any more: when everything is settled, it goes."""
        self._descriptor = descriptor
        self._ledger = -1
        self._synced = 0
        self._guard = threading.RLock()

    @classmethod
    def create(cls, directory: Path, name: str) -> Segment:
        """Under another name until it is locked: nobody must take it for an orphan before."""
        making = directory / f"{name}{MAKING}"
        descriptor = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, MAGIC)
            path = directory / f"{name}{SUFFIX}"
            making.rename(path)
        except BaseException:
            os.close(descriptor)
            making.unlink(missing_ok=True)
            raise
        return cls(path, descriptor, len(MAGIC))

    @classmethod
    def adopt(cls, path: Path) -> Segment | None:
        """None when its process lives, or another has taken it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have finished it in the meantime.
            status = os.fstat(descriptor)
            if status.st_nlink:
                segment = cls(path, descriptor, status.st_size)
                segment.retired = True
                return segment
        except BlockingIOError:
            pass
        os.close(descriptor)
        return None

    # Writing

    def append(self, text: bytes) -> None:
        """Raises OSError, and then nothing of it is in the file."""
        rest = text
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(text)

    def sync(self, upto: int) -> None:
        """To the disk, at least the bytes before `upto`. Raises OSError."""
        if self._synced >= upto:
            return
        with self._guard:
            if self._synced >= upto or self._descriptor < 0:
                return
            end = self.size
            os.fdatasync(self._descriptor)
            if not self._synced:
                # Its name, too.
                directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    os.fsync(directory)
                finally:
                    os.close(directory)
            self._synced = end

    def settle(self, number: int, start: int, end: int) -> None:
        self._note(pack_entry(SETTLED, number, start, end))

    def cut(self, number: int, at: int) -> None:
        self._note(pack_entry(CUT, number, at, at))

    def _note(self, entry: bytes) -> None:
        with self._guard:
            if self._descriptor < 0:
                return
            if self._ledger < 0:
                path = self.path.with_suffix(LEDGER)
                self._ledger = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
                size = os.fstat(self._ledger).st_size
                if torn := size % ENTRY_BYTES:
                    os.ftruncate(self._ledger, size - torn)
            os.write(self._ledger, entry)

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
        """Gives the file up to whoever locks it. In the child of a fork its own descriptors only: the lock belongs to
        the open file, which the parent has as well."""
        with self._guard:
            for descriptor in (self._descriptor, self._ledger):
                if descriptor >= 0:
                    with contextlib.suppress(OSError):
                        os.close(descriptor)
            self._descriptor = self._ledger = -1

    def forget(self) -> None:
        """`close` in the child of a fork, where a thread that is not there may hold the guard."""
        self._guard = threading.RLock()
        self.close()


def _is_settled(batch: Found) -> bool:
    return sum(end - start for start, end in batch.settled) >= batch.count
