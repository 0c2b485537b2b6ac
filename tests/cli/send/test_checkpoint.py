"""The file that a checkpoint is in, on disks that are full and across a loss of power."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import pytest

from forebay.cli.send.checkpoint import Checkpoint, CheckpointFile, Pending

FIRST = Checkpoint(1, 2, "head", 4, 100)
LONGER = Checkpoint(1, 2, "head", 4, 200, pending=Pending(300, "key", tuple(range(1000))))


def test_a_disk_that_takes_a_part_of_it_leaves_the_last_one(tmp_path: Path) -> None:
    """A limit on the size of files takes a part of a write, as the last blocks of a full disk do."""
    path = tmp_path / "state"
    checkpoints = CheckpointFile(path)
    checkpoints.write(FIRST)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoints.write(LONGER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert checkpoints.last == FIRST
    checkpoints.close()
    again = CheckpointFile(path)
    assert again.last == FIRST
    again.write(LONGER)
    again.close()
    third = CheckpointFile(path)
    assert third.last == LONGER
    third.close()


def test_its_name_is_on_the_disk_when_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    checkpoints = CheckpointFile(path)
    synced: list[tuple[bool, bool]] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    checkpoints.write(FIRST)
    checkpoints.close()
    assert synced == [(False, False), (True, True)], "its bytes before the name leads to them, and then the name"
