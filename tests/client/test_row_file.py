"""Rows that are appended are whole, whatever the disk takes and whoever ends under way."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.client import row_file
from forebay.client.rejection import Rejection, Rejections
from forebay.client.row_file import RowFile


@contextlib.contextmanager
def room(size: int) -> Iterator[None]:
    """No file grows beyond `size`: a write takes a part, and the next one fails, as on a disk that gets full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_a_full_disk_took_of_a_row_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    with RowFile(path, 0o600) as file:
        file.append(b"one\n")
        with room(10):
            with pytest.raises(OSError, match=r"File too large: '.*rows'"):
                file.append(b"two is longer\n")
            file.append(b"three\n")
        file.append(b"four\n")
    assert path.read_bytes() == b"one\nthree\nfour\n"


def test_half_a_row_that_stays_is_a_line_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_descriptor: int, _size: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "ftruncate", refused)
    path = tmp_path / "rows"
    path.write_bytes(b"of a process that was kil")
    with RowFile(path, 0o600) as file:
        file.append(b"one\n")
        with room(36), pytest.raises(OSError, match="File too large"):
            file.append(b"two is longer\n")
        file.append(b"three\n")
    assert path.read_bytes() == b"of a process that was kil\none\ntwo is\nthree\n"


def test_several_at_once_and_one_that_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows"

    def append(name: str) -> None:
        for number in range(50):
            with RowFile(path, 0o600) as file:
                file.append(f"{name} {number}\n".encode())

    threads = [threading.Thread(target=append, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.read_text().splitlines()) == sorted(
        f"{name} {number}" for name in "abcd" for number in range(50)
    )
    monkeypatch.setattr(row_file, "LOCK_SECONDS", 0.0)
    with path.open("rb") as stopped, RowFile(path, 0o600) as file:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        file.append(b"without the lock\n")
        # Whose row the end of the file is, is not known then.
        with room(path.stat().st_size + 4), pytest.raises(OSError, match="File too large"):
            file.append(b"too long\n")
    assert path.read_bytes().endswith(b"\nwithout the lock\ntoo ")


def test_what_is_no_file_takes_rows_too() -> None:
    with RowFile(Path("/dev/null"), 0o600) as file:
        file.append(b"row\n")
        file.sync()
    with RowFile(Path("/dev/full"), 0o600) as file, pytest.raises(OSError, match="No space left"):
        file.append(b"row\n")


def test_a_rejected_event_is_not_glued_to_half_of_another(tmp_path: Path) -> None:
    path = tmp_path / "rejected"
    rejections = Rejections(None, path)
    with room(150):
        failures = [rejections.keep([Rejection("track", b'{"n":%d}' % number, "no")]) for number in range(5)]
    assert failures[0] == ""
    assert failures[-1] == f"cannot write {path}: File too large"
    assert rejections.keep([Rejection("track", b'{"n":9}', "no")]) == ""
    numbers = [json.loads(line)["event"]["n"] for line in path.read_text().splitlines()]
    assert numbers == [*range(failures.count("")), 9]
