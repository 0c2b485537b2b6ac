"""Follows what a path leads to, one file after the other, each kept open until it is read."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from pathlib import Path

from forebay.cli.send.growing import GrowingFile

WATCH_SECONDS = 0.05
"""A file that the path leads to for less may be missed; a look costs some microseconds."""

MAX_WAITING = 64
"""Files kept open beside the one that is read: far more than are rotated while a server is away. Beyond it they are
looked for by name when it is their turn."""


class PathWatch:
    """Looks at the path in a thread of its own, as the one that reads may wait for the server for minutes. A file that
    is opened can be read to its end though it is renamed, compressed and removed meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._current: GrowingFile | None = None
        self._waiting: deque[GrowingFile] = deque()
        self._misses = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends the thread, and closes every file."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        for file in (self._current, *self._waiting):
            if file is not None:
                file.close()

    def _run(self) -> None:
        while not self._ended.wait(WATCH_SECONDS):
            self.look_softly()

    def look_softly(self) -> None:
        """Like `look`, but leaves it to who moves on to meet the error."""
        with contextlib.suppress(OSError):
            self.look()

    def look(self) -> None:
        """Raises OSError when what the path leads to cannot be opened."""
        with self._lock:
            for file in (self._current, *self._waiting):
                if file is not None:
                    file.look()
            last = self._waiting[-1] if self._waiting else self._current
            if last is not None and last.is_at(self._path):
                return
            if last is not None and last.left_at is None:
                last.left_at = time.monotonic()
            if len(self._waiting) >= MAX_WAITING:
                self._misses = True
                return
            try:
                found = GrowingFile(self._path)
            except FileNotFoundError:
                return
            if last is not None and (found.device, found.inode) == (last.device, last.inode):
                found.close()
            else:
                found.after_gap, self._misses = self._misses, False
                self._waiting.append(found)

    @property
    def next(self) -> GrowingFile | None:
        """The file that waits longest."""
        with self._lock:
            return self._waiting[0] if self._waiting else None

    @property
    def known(self) -> set[int]:
        """Inodes of the files that are open."""
        with self._lock:
            return {file.inode for file in (self._current, *self._waiting) if file is not None}

    def read(self, file: GrowingFile, *, keeps: bool = False) -> None:
        """`file`, which may be the one that waits longest, is read from now on. The one before is closed, or waits to
        be the next."""
        with self._lock:
            if self._waiting and self._waiting[0] is file:
                self._waiting.popleft()
            if self._current is not None and keeps:
                self._waiting.appendleft(self._current)
            elif self._current is not None:
                self._current.close()
            self._current = file
