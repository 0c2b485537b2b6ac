"""A spool file is made in two steps; whoever looks for orphans in between must leave it alone."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from client.spools import spool_store
from forebay.client.batch import Batch
from forebay.client.endpoint import endpoint_of
from forebay.client.spool.directory import LOCK, MAKING


def test_a_file_that_is_being_made_is_not_taken_for_an_orphan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, other = spool_store(tmp_path), spool_store(tmp_path)
    real = os.open

    def opened(path: Any, flags: int, mode: int = 0o777) -> int:
        descriptor = real(path, flags, mode)
        if str(path).endswith(f"{MAKING}/{LOCK}") and flags & os.O_CREAT:
            # As the thread of this client does at its start, or of any other with the same directory.
            other.orphans()
        return descriptor

    monkeypatch.setattr(os, "open", opened)
    batch = Batch(endpoint_of("drain"), 0.0)
    assert made.begin(batch)
    assert made.append(batch, [b"{}"], 0)
    assert batch.file is not None
    assert batch.file.path.exists()
    made.close()


@pytest.mark.parametrize("fails", ["fcntl.flock", "os.open"])
def test_a_directory_that_cannot_be_made_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    store = spool_store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(f"forebay.client.spool.directory.{fails}", full)
        assert not store.begin(Batch(endpoint_of("drain"), 0.0))
    assert list(tmp_path.iterdir()) == []
    assert (store.stats.errors, store.stats.last_error) == (1, "the spool cannot be written: no space left on device")
    assert store.begin(Batch(endpoint_of("drain"), 0.0))
    store.close()
