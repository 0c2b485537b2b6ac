"""A batch in a file of its own, and the directory with those of one process.

Each line of a file begins with the CRC-32 of the rest, in hexadecimal:

    1a2b3c4d forebay-spool 2 drain    the first: the version of the format, and the endpoint
    5e6f7081 {"project_id":"org", …}  an event
    92a3b4c5 cut 17 40                the batch of 40 is sent in parts, split before event 17
    d6e7f809 settled 0 17 40          events 0 to 16 are dealt with

Events are JSON objects of one line, so that the next whole line is found after damage. The number of events in a note
tells where those behind the damage were.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import zlib
from itertools import pairwise
from pathlib import Path

from forebay.client.batch import Batch
from forebay.client.endpoint import endpoint_of

LOCK = "lock"
SUFFIX = ".batch"
VERSION = b"2"

_FAMILY = b"forebay-spool"
_crc32 = zlib.crc32

LINE_BYTES = len("1a2b3c4d \n")
"""Bytes that an event takes beside its JSON."""


def pack(payload: bytes) -> bytes:
    return b"%08x %b\n" % (_crc32(payload), payload)


def unpack(text: bytes) -> tuple[list[bytes], bytes]:
    """Returns the whole lines, and everything that is none."""
    lines = _lines(text)
    return [payload for payload, _ in lines if payload is not None], b"".join(bad for _, bad in lines)


def _lines(text: bytes) -> list[tuple[bytes | None, bytes]]:
    """Returns what each line holds, or None and its bytes when it is damaged."""
    found: list[tuple[bytes | None, bytes]] = []
    for line in io.BytesIO(text):
        payload = line[9:-1]
        found.append((payload, b"") if line == pack(payload) else (None, line))
    return found


class BatchFile:
    """One thread at a time changes it, which the queue's lock sees to; any may `sync` and `read`. The file is open
    while events are added."""

    __slots__ = ("_descriptor", "_written", "directory", "path", "size", "synced")

    def __init__(self, directory: LockedDirectory, path: Path, size: int = 0) -> None:
        self.directory = directory
        self.path = path
        self.size = size
        """Committed length; bytes beyond it are ignored."""
        self.synced = 0
        """Bytes that are known to be on the disk."""
        self._written = size
        """Length as far as it is known; -1 while a write is under way, or after one that failed."""
        self._descriptor = -1

    @classmethod
    def create(cls, directory: LockedDirectory, path: Path, endpoint: str) -> BatchFile:
        """Raises OSError."""
        made = cls(directory, path)
        # Events are nobody else's.
        made._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            made.append(pack(b"%b %b %b" % (_FAMILY, VERSION, endpoint.encode())))
        except BaseException:
            made.remove()
            raise
        return made

    def append(self, text: bytes) -> None:
        """Raises OSError, and then nothing of the text is there."""
        descriptor = self._descriptor
        if self._written != self.size:
            os.ftruncate(descriptor, self.size)
        self._written = -1
        rest = text
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            os.ftruncate(descriptor, self.size)
            raise
        self._written = self.size = self.size + len(text)
        self.directory.bytes += len(text)

    def note(self, *words: object) -> None:
        """Appends a line to a closed batch. Raises OSError."""
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            self.append(pack(" ".join(map(str, words)).encode()))
        finally:
            self.close()

    def sync(self) -> None:
        """Writes what was appended to the disk. Raises OSError."""
        end = self.size
        if self.synced >= end:
            return
        with contextlib.suppress(FileNotFoundError):  # it is settled
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        self.synced = max(self.synced, end)

    def read(self) -> list[bytes]:
        """Returns the events. Raises OSError."""
        return [payload for payload in unpack(self.path.read_bytes())[0] if payload.startswith(b"{")]

    def close(self) -> None:
        # Forgotten first: a signal handler that raises in between would have it closed twice, and by then it may be
        # another file's.
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def remove(self) -> None:
        """Raises OSError."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.directory.bytes -= self.size


def recover(directory: LockedDirectory, path: Path) -> tuple[Batch | None, bytes]:
    """Reads the batch that another process left, None when it has no events, and what of its file is damaged.

    Raises:
        ValueError: the file is of another version.
        OSError: it cannot be read.
    """
    text = path.read_bytes()
    lines = _lines(text)
    damaged = b"".join(bad for _, bad in lines)
    family, version, name = (*((lines[0][0] or b"") if lines else b"").split(b" "), b"", b"")[:3]
    if family != _FAMILY:
        # Without its first line nothing tells where a batch goes.
        return None, text
    if version != VERSION:
        raise ValueError(f"{path.name} is of version {version.decode()}, this reads {VERSION.decode()}")
    batch = Batch(endpoint_of(name.decode()), 0.0, BatchFile(directory, path, len(text)))
    batch.events, batch.key = None, key_of(path)
    _take_notes(batch, [payload for payload, _ in lines[1:]])
    return batch, damaged


def _take_notes(batch: Batch, lines: list[bytes | None]) -> None:
    """Finds which events of a batch are left. None of its lines is a damaged one. Where notes and events do not agree,
    each event that is whole is left: better stored twice than never."""
    events = [line for line in lines if line is not None and line.startswith(b"{")]
    notes = [line.split(b" ") for line in lines if line is not None and not line.startswith(b"{")]
    batch.count = batch.left = len(events)
    slots = _slots(lines, events, notes)
    if not notes or slots is None:
        return
    cuts, settled, count = {0, len(slots)}, set(), len(slots)
    for kind, *numbers in notes:
        start, end = int(numbers[0]), int(numbers[kind == b"settled"])
        # The bounds of a settled part were cut, also when that note is damaged.
        cuts |= {start, end}
        if kind == b"settled":
            settled.add((start, end))
    parts = set(pairwise(sorted(cuts)))
    if min(cuts) < 0 or max(cuts) > count or not settled <= parts:
        return
    batch.lost = [at for at, slot in enumerate(slots) if slot is None]
    for start, end in parts - settled:
        for at in (at for at in batch.lost if start <= at < end):
            cuts |= {at, at + 1}
            settled.add((at, at + 1))
    batch.count, batch.cuts, batch.settled = count, cuts, settled
    batch.left = count - sum(end - start for start, end in settled)


def _slots(lines: list[bytes | None], events: list[bytes], notes: list[list[bytes]]) -> list[bytes | None] | None:
    """Returns the events that the notes count, None for a damaged one; None when that is not known."""
    counts = {words[-1] if len(words) == 3 + (words[0] == b"settled") else b"" for words in notes}
    first = next((at for at, line in enumerate(lines) if line is not None and not line.startswith(b"{")), len(lines))
    before = lines[:first]
    if counts == {b""}:
        # Of a release whose notes had no number.
        return before if None not in before else None
    if len(counts) != 1:
        return None
    count = int(counts.pop())
    if len(events) == count:
        return [*events]
    if not any(before[count:]):
        before = before[:count]  # damaged notes follow
    return before if len(before) == count else None


def key_of(path: Path) -> str:
    """Returns a batch's idempotency key. It follows from the file's place, so that whoever sends the batch sends it
    under the same one."""
    return f"{path.parent.name.rpartition('-')[2]}-{int(path.stem)}"


def sync_directory(path: Path) -> None:
    """Returns when the names in a directory are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LockedDirectory:
    """The batches of one process. Its methods raise OSError."""

    def __init__(self, path: Path, lock: int, *, adopted: bool = False) -> None:
        self.path = path
        self.adopted = adopted
        """Another process made it."""
        self.bytes = 0
        """In its files, as far as they are known."""
        self.batches: dict[Batch, None] = {}
        """Those that are not settled."""
        self.settled: list[BatchFile] = []
        """Files that are to be removed."""
        self._lock = lock
        self._begun = self._named = 0
        """Files that were made, and those whose names are known to be on the disk."""

    @classmethod
    def create(cls, path: Path) -> LockedDirectory | None:
        """Makes one; None when somebody who looks for orphans took it before it was locked."""
        path.mkdir(mode=0o700)
        try:
            return cls._locked(path, os.O_CREAT)
        except FileNotFoundError:
            return None
        except BaseException:
            # Or each event that finds a full disk would leave one.
            (path / LOCK).unlink(missing_ok=True)
            path.rmdir()
            raise

    @classmethod
    def adopt(cls, path: Path) -> LockedDirectory | None:
        """Locks one that another process left; None when that lives, or another has taken it."""
        try:
            found = cls._locked(path)
        except FileNotFoundError:
            # Cut off between the two steps of its making or its removal, or finished this moment.
            with contextlib.suppress(OSError):
                path.rmdir()
            return None
        if found is not None:
            found.adopted = True
        return found

    @classmethod
    def _locked(cls, path: Path, flags: int = 0) -> LockedDirectory | None:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have finished it in the meantime.
            if os.fstat(lock).st_nlink:
                return cls(path, lock)
        except BlockingIOError:
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)
        return None

    def begin(self, batch: Batch) -> None:
        """Makes a file for an empty batch."""
        self._begun += 1
        batch.file = BatchFile.create(self, self.path / f"{self._begun:08d}{SUFFIX}", batch.endpoint.name)
        self.batches[batch] = None

    def sync(self) -> None:
        """Writes the names of new files to the disk, and its own."""
        begun = self._begun
        if self._named == begun:
            return
        for path in [self.path] if self._named else [self.path, self.path.parent]:
            sync_directory(path)
        self._named = begun

    def remove_settled(self) -> None:
        left: list[BatchFile] = []
        failure: OSError | None = None
        for file in self.settled:
            try:
                file.remove()
            except OSError as error:
                failure = error
                left.append(file)
        # One that cannot be removed is no reason to leave the others.
        self.settled = left
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Gives it up to whoever locks it, or removes it when nothing is left. Raises OSError, and has given it up."""
        if self._lock < 0:
            return
        try:
            with contextlib.suppress(FileNotFoundError):  # somebody removed it
                if not any(path.name != LOCK for path in self.path.iterdir()):
                    (self.path / LOCK).unlink()
                    self.path.rmdir()
        finally:
            # Or nobody would have it before the end of this process.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self.forget()

    def forget(self) -> None:
        """Closes the lock in the child of a fork: it belongs to the open file, which is its parent's as well, and
        stays."""
        for batch in self.batches:
            if batch.file is not None:
                batch.file.close()
        # Forgotten first, as a batch's descriptor is.
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)
