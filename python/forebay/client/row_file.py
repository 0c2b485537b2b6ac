"""Appends rows to a file, each whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

LOCK_SECONDS = 2.0
"""Longer than any append takes. Who holds the lock for longer was stopped, and is not waited for."""

LOCK_POLL_SECONDS = 0.01


class RowFile:
    """A file of lines that several processes may append to at once. What a full disk took of a row is taken back, and
    half a row that a process left which ended under way becomes a line of its own, so that none takes the next along.

    Raises:
        OSError: it cannot be opened or written, with its path. What was to be appended is not in it then.
    """

    def __init__(self, path: Path, mode: int) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
        self._has_size = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        """A device or a pipe has none: what it took is gone."""
        with self._locked():
            self._is_torn = self._has_size and _ends_in_half_a_line(path)

    def append(self, rows: bytes) -> None:
        """Returns when all of them are written, each with its line end."""
        with self._locked() as is_alone:
            start = os.fstat(self._descriptor).st_size
            text = memoryview(b"\n" + rows if self._is_torn else rows)
            done = 0
            try:
                while done < len(text):
                    done += os.write(self._descriptor, text[done:])
            except OSError as error:
                if done:
                    self._is_torn = not (is_alone and self._took_back(start, done))
                raise OSError(error.errno, error.strerror, str(self._path)) from None
            self._is_torn = False

    def sync(self) -> None:
        """Returns when what was appended is on the disk."""
        if self._has_size:
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self._path)) from None

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _took_back(self, start: int, done: int) -> bool:
        """Cuts off the part of a row that was written; False where that cannot be."""
        if not self._has_size or os.fstat(self._descriptor).st_size != start + done:
            return False
        try:
            os.ftruncate(self._descriptor, start)
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """Gives True when no other process appends meanwhile; not known on file systems without locks."""
        is_locked = self._has_size and _lock(self._descriptor)
        try:
            yield is_locked
        finally:
            if is_locked:
                # By name: a child that was forked meanwhile has the descriptor too, and would hold the lock.
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)


def _lock(descriptor: int) -> bool:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(LOCK_POLL_SECONDS)
        except OSError:
            return False
        else:
            return True


def _ends_in_half_a_line(path: Path) -> bool:
    """Tells whether the last line has no end; of what may not be read that is not known."""
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return False
