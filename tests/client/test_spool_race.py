"""A directory is made in two steps; whoever looks for orphans in between takes it, and another one is made."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from client.spools import spool_store
from forebay.client.batch import Batch
from forebay.client.endpoint import endpoint_of
from forebay.client.spool.files import LOCK, LockedDirectory
from forebay.client.spool.store import MAKING_TRIES


def look(spool: Path) -> None:
    """As the thread of any client with the same spool does, and finds nothing in what it takes."""
    for path in spool.iterdir():
        if (found := LockedDirectory.adopt(path)) is not None:
            found.close()


@pytest.mark.parametrize("early", [True, False], ids=["before the lock's file", "before the lock"])
@pytest.mark.parametrize("times", [1, MAKING_TRIES])
def test_a_directory_that_is_taken_while_it_is_made_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: bool, times: int
) -> None:
    store, real, taken = spool_store(tmp_path), os.open, 0

    def opened(path: Any, flags: int, mode: int = 0o777) -> int:
        nonlocal taken
        if not str(path).endswith(LOCK) or not flags & os.O_CREAT or taken == times:
            return real(path, flags, mode)
        taken += 1
        if early:
            look(tmp_path)
            return real(path, flags, mode)
        descriptor = real(path, flags, mode)
        look(tmp_path)
        return descriptor

    monkeypatch.setattr(os, "open", opened)
    batch = Batch(endpoint_of("drain"), 0.0)
    if times == MAKING_TRIES:
        assert not store.begin(batch)
        assert "taken by who looks for orphans" in store.stats.last_error
        assert list(tmp_path.iterdir()) == []
    assert store.begin(batch)
    assert store.append(batch, [b"{}"], 0)
    assert batch.file is not None
    look(tmp_path)
    assert batch.file.path.exists(), "what is made is nobody else's"
    store.close()


@pytest.mark.parametrize("fails", ["fcntl.flock", "os.open"])
def test_a_directory_that_cannot_be_made_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    store = spool_store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(f"forebay.client.spool.files.{fails}", full)
        assert not store.begin(Batch(endpoint_of("drain"), 0.0))
    assert list(tmp_path.iterdir()) == []
    assert (store.stats.errors, store.stats.last_error) == (1, "the spool cannot be written: no space left on device")
    assert store.begin(Batch(endpoint_of("drain"), 0.0))
    store.close()
