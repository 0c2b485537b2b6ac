"""Keeps how far a followed file has been sent, in a file of its own."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from forebay.client.spool.files import sync_directory

SUFFIX = ".forebay"
"""Added to the followed file's name when no state file is named."""


class Pending(msgspec.Struct, frozen=True):
    """A batch that may or may not have arrived: the lines before `end`, under this key."""

    end: int
    key: str
    without: tuple[int, ...] = ()
    """The ends of lines that are not in it, since the server refused them before."""


class LastWrite(msgspec.Struct, frozen=True):
    """When files were last written to. A file system's clock ticks in milliseconds: at the very time others may have
    been written to as well, so files are told apart by their inodes there."""

    time: int = 0
    """In nanoseconds since 1970; none of the files was written to later."""
    inodes: tuple[int, ...] = ()
    """Those of them that were written to at that time."""

    def and_of(self, inode: int, modified: int) -> LastWrite:
        """Returns the same with one more file."""
        if modified < self.time or (inode in self.inodes and modified == self.time):
            return self
        return LastWrite(modified, (*self.inodes, inode) if modified == self.time else (inode,))


class Checkpoint(msgspec.Struct, frozen=True):
    """`offset` bytes are done of the file that had this inode and began so."""

    device: int
    inode: int
    head: str
    """The digest of its first bytes: inodes are given again, and copies have others."""
    head_bytes: int
    offset: int
    lines: int = 0
    """That end there."""
    modified: int = 0
    """Files that were rotated away and written to after this time, in nanoseconds, were not read."""
    read_at_modified: tuple[int, ...] = ()
    """Inodes of files that were written to at this very time and are read."""
    pending: Pending | None = None


class CheckpointFile:
    """The file that a checkpoint is in; one process has it at a time.

    Raises:
        OSError: it cannot be used; BlockingIOError when another process has it.
        ValueError: what is in it is no checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                self.last: Checkpoint | None = _read(path)
            except FileNotFoundError:
                self.last = None
        except BaseException:
            os.close(self._lock)
            raise

    def write(self, checkpoint: Checkpoint) -> None:
        """On the disk when it returns: a batch is not sent before it is known where it ends and what its key is.
        Raises OSError."""
        if checkpoint == self.last:
            return
        made = self._path.with_name(f"{self._path.name}.new")
        # The file object writes all or raises, where os.write may take a part: on a disk that is nearly full it does.
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(checkpoint))
            file.flush()
            os.fsync(file.fileno())
        made.replace(self._path)
        # The new name is on the disk only with its directory.
        sync_directory(self._path.parent)
        self.last = checkpoint

    def close(self) -> None:
        os.close(self._lock)


ADVICE = (
    "move it away to send the file from its beginning, which stores again what was sent before the server's window for "
    "keys, or bring it back from a copy"
)


def _read(path: Path) -> Checkpoint:
    """Raises ValueError for what is no checkpoint: taken for none, all would be sent again in silence."""
    text = path.read_bytes()
    if not text.strip(b"\0"):
        raise ValueError(f"{path} holds no position but {len(text)} zero bytes, as after a power loss; {ADVICE}")
    try:
        return msgspec.json.decode(text, type=Checkpoint)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} holds no position: {error}; {ADVICE}") from None
