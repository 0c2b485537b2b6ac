"""A file that others append to and rotate, read line by line."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from forebay.sender.mark import Mark

CHUNK_BYTES = 1 << 20
HEAD_BYTES = 1024
"""A file is told by so much of its beginning, beside its inode."""

_ROTATED = re.compile(r"[.-][0-9][0-9.T_-]*")
"""What is put behind the name of a file that is rotated away: `.1`, `-20240531`, `.2024-05-31`."""


class GrowingFile:
    """An open file and how much of it is read. `readline` gives whole lines only; the rest waits for its end."""

    def __init__(self, path: Path, position: int = 0) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.position = position
        self.limit: int | None = None
        """Nothing is read beyond it."""
        self.takes_rest = False
        """Whether what is behind the last line end counts as a line: nobody appends any more."""
        self._held = b""
        self._held_at = position
        status = os.fstat(self._descriptor)
        self.device, self.inode = status.st_dev, status.st_ino
        self._head_bytes, self._head = 0, ""
        self._read_head()

    def close(self) -> None:
        os.close(self._descriptor)

    @property
    def status(self) -> os.stat_result:
        return os.fstat(self._descriptor)

    def _read_head(self) -> None:
        head = os.pread(self._descriptor, HEAD_BYTES, 0)
        self._head_bytes, self._head = len(head), _digest(head)

    def mark(self, offset: int) -> Mark:
        if self._head_bytes < HEAD_BYTES:
            self._read_head()
        return Mark(self.device, self.inode, self._head, self._head_bytes, offset)

    def was(self, mark: Mark) -> bool:
        """Whether the mark is of this file, and as much of it is still there."""
        if (self.device, self.inode) != (mark.device, mark.inode) or self.status.st_size < mark.offset:
            return False
        return _digest(os.pread(self._descriptor, mark.head_bytes, 0)) == mark.head

    def was_truncated(self) -> bool:
        """Whether somebody cut it off (and perhaps has written more since). It is then read from its beginning."""
        size = self.status.st_size
        same = size >= self.position and _digest(os.pread(self._descriptor, self._head_bytes, 0)) == self._head
        if same:
            return False
        self.position = self._held_at = 0
        self._held = b""
        self._read_head()
        return True

    def readline(self, limit: int) -> bytes:
        """The next whole line with its end, or `limit` bytes of a longer one; empty when there is none yet."""
        while True:
            held, at = self._held, self.position - self._held_at
            stop = len(held) if self.limit is None else min(len(held), self.limit - self._held_at)
            end = held.find(b"\n", at, stop) + 1
            if end or stop - at >= limit or not self._fill():
                break
        at_limit = self.limit is not None and self._held_at + stop == self.limit
        if not end and (stop - at >= limit or self.takes_rest or at_limit):
            end = stop
        line = held[at : min(end, at + limit)]
        self.position += len(line)
        return line

    def _fill(self) -> bool:
        """Reads more behind what is held, and lets go of what is read; False when there is no more yet."""
        end = self._held_at + len(self._held)
        wanted = CHUNK_BYTES if self.limit is None else min(CHUNK_BYTES, self.limit - end)
        more = os.pread(self._descriptor, wanted, end) if wanted > 0 else b""
        if more:
            self._held = self._held[self.position - self._held_at :] + more
            self._held_at = self.position
        return bool(more)


def _digest(head: bytes) -> str:
    return hashlib.blake2b(head, digest_size=16).hexdigest()


def is_replaced(path: Path, file: GrowingFile) -> bool:
    """Whether the path no longer leads to the file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return True
    return (status.st_dev, status.st_ino) != (file.device, file.inode)


def rotated(path: Path) -> list[Path]:
    """Files that were rotated away from the path, those last written to first. Compressed ones do not count."""
    found = []
    for other in path.parent.iterdir():
        if other.name.startswith(path.name) and _ROTATED.fullmatch(other.name[len(path.name) :]):
            try:
                found.append((other.stat().st_mtime_ns, other))
            except FileNotFoundError:
                continue
    return [other for _, other in sorted(found, reverse=True)]


def successor(path: Path, file: GrowingFile) -> Path:
    """What is to be read after a file that was rotated away: the oldest one written to later, which is `path` itself
    unless it was rotated several times meanwhile."""
    done = file.status
    for other in reversed(rotated(path)):
        try:
            status = other.stat()
        except FileNotFoundError:
            continue
        if status.st_ino != done.st_ino and status.st_mtime_ns > done.st_mtime_ns:
            return other
    return path
