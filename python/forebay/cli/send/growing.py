"""A file that others append to, cut off and rotate, read line by line."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from pathlib import Path

from forebay.cli.send.checkpoint import Checkpoint, LastWrite, Pending

CHUNK_BYTES = 1 << 20
HEAD_BYTES = 4096
"""A file is told by so much of its beginning, beside its inode."""

TAIL_BYTES = 1024
"""Bytes that were read last and are read again with the next: they fit, or the file was written anew."""


NEVER = float("-inf")


class GrowingFile:
    """An open file and how much of it is read. `readline` gives whole lines only; the rest waits for its end.

    It stays readable when it is renamed or removed. One thread reads; any may `look`.
    """

    def __init__(self, path: Path, position: int = 0) -> None:
        self.path = path
        """Where it was when it was opened."""
        # A FIFO would keep the opener until somebody writes.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(self.status.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        self.left_at: float | None = None
        """When it was first seen that the path leads elsewhere, of `time.monotonic`; `NEVER` if it was so before."""
        self.position = position
        """Bytes of it that are read, or passed over: NULs."""
        self.limit: int | None = None
        """Nothing is read beyond it."""
        self.takes_rest = False
        """The rest behind the last line end counts as a line: nobody appends any more."""
        self.truncated = False
        """Somebody cut it off, and may have written more since: what is read of it by now is all that there will be of
        the old content."""
        self.seen = 0
        """Bytes that it is known to have had."""
        self.after_gap = False
        """There may have been others between the one before and this one."""
        self._held = b""
        self._held_at = position
        self._head = b""
        tail = min(TAIL_BYTES, position)
        self._tail = os.pread(self._descriptor, tail, position - tail)
        self._guard = threading.Lock()
        status = self.status
        self.device, self.inode = status.st_dev, status.st_ino
        self.look()

    def close(self) -> None:
        os.close(self._descriptor)

    @property
    def status(self) -> os.stat_result:
        return os.fstat(self._descriptor)

    @property
    def unread(self) -> int:
        """Bytes that it is known to have had behind what was read."""
        return max(0, self.seen - self.position)

    def is_at(self, path: Path) -> bool:
        """Tells whether the path leads to this file."""
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (self.device, self.inode)

    def look(self) -> None:
        """Notes how much there is, and whether somebody cut off what there was."""
        with self._guard:
            size, head = self.status.st_size, os.pread(self._descriptor, HEAD_BYTES, 0)
            if size < self.seen or not head.startswith(self._head):
                self.truncated = True
            elif not self.truncated:
                self.seen, self._head = size, head

    def checkpoint(
        self, offset: int, lines: int, before: LastWrite | None = None, pending: Pending | None = None
    ) -> Checkpoint:
        """`lines` come before `offset`; `before` is of the files that were read before this one."""
        head, before, modified = self._head, before or LastWrite(), self.status.st_mtime_ns
        if modified > before.time:
            before = LastWrite(modified)
        return Checkpoint(
            self.device, self.inode, _digest(head), len(head), offset, lines, before.time, before.inodes, pending
        )

    def was(self, checkpoint: Checkpoint) -> bool:
        """Tells whether the checkpoint is of this file, and as much of it is still there."""
        return (self.device, self.inode) == (checkpoint.device, checkpoint.inode) and self._has(checkpoint)

    def is_copy(self, checkpoint: Checkpoint) -> bool:
        """Tells whether the checkpoint may be of another file that this is a copy of."""
        return (
            (self.device, self.inode) != (checkpoint.device, checkpoint.inode)
            and checkpoint.head_bytes > 0
            and self._has(checkpoint)
        )

    def _has(self, checkpoint: Checkpoint) -> bool:
        if self.status.st_size < checkpoint.offset:
            return False
        return _digest(os.pread(self._descriptor, checkpoint.head_bytes, 0)) == checkpoint.head

    def restart(self) -> None:
        """After a truncation: what is in it now is read from its beginning."""
        with self._guard:
            self.position = self._held_at = self.seen = 0
            self._held = self._head = self._tail = b""
            self.truncated = False
        self.look()

    def readline(self, limit: int) -> bytes:
        """The next whole line with its end, or `limit` bytes of a longer one; empty when there is none yet. NULs before
        a line are passed over: a program that does not append leaves them where it goes on behind a truncation."""
        while True:
            self._skip_nuls()
            held, at = self._held, self.position - self._held_at
            stop = len(held) if self.limit is None else min(len(held), self.limit - self._held_at)
            end = held.find(b"\n", at, stop) + 1
            if end or stop - at >= limit or not self._fill():
                break
        is_last = self.takes_rest or (self.limit is not None and self._held_at + stop == self.limit)
        if not end and (stop - at >= limit or (is_last and not self.truncated)):
            end = stop
        line = held[at : min(end, at + limit)]
        self.position += len(line)
        return line

    def _skip_nuls(self) -> None:
        """Also of a hole of any size, which takes no room on the disk and is not read."""
        while self._is_nul():
            held = self._held[self.position - self._held_at :]
            count = len(held) - len(held.lstrip(b"\0"))
            end = self.position + count
            if count == len(held):
                end = max(end, self._next_data(end))
            if self.limit is not None:
                end = min(end, self.limit)
            self.position = end
            if end <= self._held_at + len(self._held):
                continue
            self._held, self._held_at = b"", end
            tail = min(TAIL_BYTES, end)
            self._tail = os.pread(self._descriptor, tail, end - tail)

    def _is_nul(self) -> bool:
        at = self.position - self._held_at
        if at >= len(self._held):
            if not self._fill():
                return False
            at = self.position - self._held_at
        return self._held[at : at + 1] == b"\0"

    def _next_data(self, start: int) -> int:
        """Where a hole at `start` ends; `start` where there is none."""
        try:
            return os.lseek(self._descriptor, start, os.SEEK_DATA)
        except OSError:
            # Nothing but a hole up to the end, or a file system that does not tell.
            return start

    def _fill(self) -> bool:
        """Reads more behind what is held, and lets go of what is read; False when there is no more yet."""
        end, tail = self._held_at + len(self._held), self._tail
        wanted = CHUNK_BYTES if self.limit is None else min(CHUNK_BYTES, self.limit - end)
        if wanted <= 0:
            return False
        read = os.pread(self._descriptor, len(tail) + wanted, end - len(tail))
        # Only now, and not before: what was cut off and written anew in between would be taken for what comes next.
        self.look()
        if not read.startswith(tail):
            self.truncated = True
        more = read[len(tail) :]
        if self.truncated or not more:
            return False
        self._tail = (tail + more[-TAIL_BYTES:])[-TAIL_BYTES:]
        self._held = self._held[self.position - self._held_at :] + more
        self._held_at = self.position
        return True


def _digest(head: bytes) -> str:
    return hashlib.blake2b(head, digest_size=16).hexdigest()
