"""The directory of one process within a spool."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from forebay.client.batch import Batch

LOCK = "lock"
MAKING = ".making"


class LockedDirectory:
    """The batches of one process. Its methods raise OSError."""

    def __init__(self, path: Path, lock: int, *, adopted: bool = False) -> None:
        self.path = path
        self.adopted = adopted
        """Another process made it."""
        self.batches: dict[Batch, None] = {}
        """Those that are not settled."""
        self._lock = lock
        self._is_named = False

    @classmethod
    def create(cls, path: Path) -> LockedDirectory:
        """Makes one, under another name until it is locked: nobody must take it for an orphan before."""
        making = path.with_name(f"{path.name}{MAKING}")
        making.mkdir(mode=0o700)
        lock = -1
        try:
            lock = os.open(making / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            making.rename(path)
        except BaseException:
            # Or each event that finds a full disk would leave one.
            (making / LOCK).unlink(missing_ok=True)
            making.rmdir()
            if lock >= 0:
                os.close(lock)
            raise
        return cls(path, lock)

    @classmethod
    def adopt(cls, path: Path) -> LockedDirectory | None:
        """Locks one that another process left; None when that lives, or another has taken it."""
        try:
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            # Cut off between the two steps of its removal, or finished this moment.
            with suppress(OSError):
                path.rmdir()
            return None
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have finished it in the meantime.
            if os.fstat(lock).st_nlink:
                return cls(path, lock, adopted=True)
        os.close(lock)
        return None

    def sync(self) -> None:
        """Writes the names of its files to the disk, and its own."""
        for path in [self.path] if self._is_named else [self.path, self.path.parent]:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._is_named = True

    def close(self) -> None:
        """Gives it up to whoever locks it, or removes it when nothing is left."""
        if self._lock < 0:
            return
        if not any(path.name != LOCK for path in self.path.iterdir()):
            (self.path / LOCK).unlink()
            self.path.rmdir()
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        self.forget()

    def forget(self) -> None:
        """Closes the lock in the child of a fork: it belongs to the open file, which is its parent's as well, and
        stays."""
        for batch in self.batches:
            if batch.file is not None:
                batch.file.close()
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1
