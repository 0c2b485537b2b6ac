"""Files that were rotated away from a path, told by their names and times."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from forebay.cli.send.checkpoint import LastWrite

_ROTATED = r"[.-][0-9][0-9.T_-]*"
"""Matches what is put behind the name of a file that is rotated away: `.1`, `-20240531`, `.2024-05-31`."""

_COMPRESSED = _ROTATED + r"\.(?:gz|bz2|xz|zst|lz4|lzma|Z|zip)"


def rotated(path: Path) -> list[Path]:
    """Files that were rotated away from the path, those last written to first. Compressed ones do not count."""
    return [other for _, other, _ in sorted(_named(path, _ROTATED), reverse=True)]


def is_rotated(path: Path, other: Path) -> bool:
    """Tells whether `other` has the name of a file that was rotated away from the path."""
    is_beside = os.path.realpath(path.parent) == os.path.realpath(other.parent)
    return is_beside and _is_named(path, other, _ROTATED)


def later(path: Path, since: LastWrite, until: int | None = None, known: Collection[int] = ()) -> Path | None:
    """The oldest file that was rotated away from the path after those of `since`, last written to no later than
    `until`, in nanoseconds. `known` are inodes that do not count."""
    for modified, other, inode in sorted(_named(path, _ROTATED)):
        is_after = modified > since.time or (modified == since.time and inode not in since.inodes)
        if is_after and inode not in known and (until is None or modified <= until):
            return other
    return None


def compressed(path: Path, since: int, until: int | None = None) -> list[Path]:
    """Compressed files that were rotated away from the path, last written to after `since` and before `until`, in
    nanoseconds, in their order. Whoever compresses a file gives the result its time: one that has a time that is known
    is taken for the compressed file of that time."""
    found = sorted(_named(path, _COMPRESSED))
    return [other for written, other, _ in found if written > since and (until is None or written < until)]


def _is_named(path: Path, other: Path, behind: str) -> bool:
    return other.name.startswith(path.name) and bool(re.fullmatch(behind, other.name[len(path.name) :]))


def _named(path: Path, behind: str) -> list[tuple[int, Path, int]]:
    """Files with such names: when each was last written to, where it is, and its inode."""
    found = []
    for other in path.parent.iterdir():
        if _is_named(path, other, behind):
            try:
                status = other.stat()
            except FileNotFoundError:
                continue
            found.append((status.st_mtime_ns, other, status.st_ino))
    return found
