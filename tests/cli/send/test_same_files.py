"""What is read and what is written are different files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forebay.cli.send import same_files


def test_files_that_are_one_under_any_name_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("app.log")
    path.write_bytes(b"")
    os.link(path, "hard")
    os.symlink(path, "soft")
    os.symlink("later", "to-come")
    for name in ("app.log", "./app.log", str(tmp_path / "app.log"), "hard", "soft"):
        assert same_files(path, name, None) == f"--rejected, {Path(name)}, is the same file as FILE"
        assert same_files(path, name, Path("state")) == f"--rejected, {Path(name)}, is the same file as FILE"
        assert same_files(path, None, Path(name)) == f"--state, {Path(name)}, is the same file as FILE"
    assert same_files(path, "later", Path("to-come")) == "--rejected, later, is the same file as --state"
    assert same_files(path, "s.lock", Path("s")) == "--rejected, s.lock, is the same file as the lock of --state"
    assert same_files(path, "s.new", Path("s")) == "--rejected, s.new, is the same file as the next --state"
    assert "sent" in same_files(path, "app.log.1", Path("state"))
    assert "sent" in same_files(path, None, tmp_path / "app.log-20240531")
    assert same_files(path, "app.log.1", None) == "", "what is rotated away is read by who follows"
    assert same_files(path, "app.log.rejected", Path("app.log.forebay")) == ""
    assert same_files(Path("/dev/null"), "/dev/null", None) == ""
