"""A program that rotates a file and the one that writes to it act in unfortunate orders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.send.test_follow import append, arrived, follow, names, stored, text
from client.proxy import accepted, scripted
from forebay.cli.send import growing
from support.harness import wait_for


def test_a_line_is_whole_whose_halves_come_before_and_after_the_rename(tmp_path: Path) -> None:
    """The file was quiet for long when it is renamed, the next one is there at once, and the program is told later."""
    path = tmp_path / "log"
    append(path, 0)
    half = text(1)
    with scripted(accepted) as server, follow(path, server.url, quiet_seconds=3600) as run, path.open("ab") as program:
        arrived(server, 1)
        program.write(half[:20])
        program.flush()
        old = path.stat()
        os.utime(path, ns=(old.st_atime_ns, 10**18))
        path.rename(tmp_path / "log.1")
        append(path, 3)
        wait_for("the next file to be seen", lambda: path.stat().st_ino in run.known())
        program.write(half[20:] + text(2))
        program.flush()
        os.utime(tmp_path / "log.1", ns=(old.st_atime_ns, 10**18))
        arrived(server, 3)
        file = run.following._file
        assert file is not None
        assert file.left_at is not None
        file.left_at = growing.NEVER  # the documented time has passed
        run.following._quiet = 0.0
        arrived(server, 4)
    assert (stored(server), run.rejected) == (names(4), [])


def test_a_program_that_does_not_append_leaves_a_hole_behind_a_truncation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with scripted(accepted) as server, path.open("wb") as program:
        program.write(text(0))
        program.flush()
        with follow(path, server.url) as run:
            arrived(server, 1)
            for number in (1, 2):
                os.truncate(path, 0)
                program.write(text(number))
                program.flush()
                arrived(server, 1 + number)
            program.write(text(3))
            program.flush()
            arrived(server, 4)
            size = path.stat().st_size
            wait_for(
                "the checkpoint",
                lambda: run.checkpoints.last is not None and run.checkpoints.last.offset == size,
            )
        with follow(path, server.url) as again:
            program.write(text(4))
            program.flush()
            arrived(server, 5)
    assert (stored(server), run.rejected, again.rejected, again.notices) == (names(5), [], [], [])


def fifo(path: Path) -> None:
    os.mkfifo(path)


def circle(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [fifo, Path.mkdir, circle], ids=["fifo", "directory", "symlink to itself"])
@pytest.mark.parametrize("first", [False, True])
def test_what_cannot_be_read_is_waited_for_and_said_once(
    tmp_path: Path, make: Callable[[Path], None], first: bool
) -> None:
    path = tmp_path / "log"
    with scripted(accepted) as server:
        if not first:
            append(path, 0)
        else:
            make(path)
        with follow(path, server.url) as run:
            if not first:
                arrived(server, 1)
                path.rename(tmp_path / "log.1")
                make(path)
            wait_for("a notice", lambda: len(run.notices) >= 1)
            if not first:
                append(tmp_path / "log.1", 1)
                arrived(server, 2)
            path.rename(tmp_path / "away")
            append(path, 2)
            arrived(server, 1 if first else 3)
        assert len(run.notices) == 1
        assert run.notices[0].startswith(f"{path} cannot be read, and is waited for: ")


def test_a_file_that_may_not_be_read_for_a_moment_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root makes such a file with 0600 and then hands it over. The tests may run as root, who may read anything."""
    path = tmp_path / "log"
    append(path, 0)
    opened, closed = os.open, [False]

    def guarded(name: str | Path, flags: int, *more: int, **named: int) -> int:
        if closed[0] and Path(name) == path:
            raise PermissionError(13, "Permission denied", str(name))
        return opened(name, flags, *more, **named)

    monkeypatch.setattr("forebay.cli.send.growing.os.open", guarded)
    with scripted(accepted) as server:
        with follow(path, server.url) as run:
            arrived(server, 1)
            path.rename(tmp_path / "log.1")
            closed[0] = True
            append_as_root(path)
            wait_for("a notice", lambda: run.notices != [])
            closed[0] = False
            arrived(server, 2)
        assert run.notices == [f"{path} cannot be read, and is waited for: Permission denied"]
        closed[0] = True
        with follow(path, server.url) as run:
            wait_for("a notice", lambda: run.notices != [])
            closed[0] = False
            append(path, 2)
            arrived(server, 3)
        assert run.notices == [f"{path} cannot be read, and is waited for: Permission denied"]
    assert stored(server) == names(3)


def append_as_root(path: Path) -> None:
    made = path.with_name("made")
    append(made, 1)
    made.rename(path)


def test_a_link_that_is_switched_and_a_file_that_goes_to_another_directory(tmp_path: Path) -> None:
    path, others = tmp_path / "log", tmp_path / "others"
    others.mkdir()
    append(others / "a", 0)
    path.symlink_to(others / "a")
    with scripted(accepted) as server, follow(path, server.url) as run:
        arrived(server, 1)
        append(others / "b", 2)
        (tmp_path / "new").symlink_to(others / "b")
        append(others / "a", 1)
        (tmp_path / "new").rename(path)
        arrived(server, 3)
        (others / "b").rename(tmp_path / "elsewhere")
        append(tmp_path / "elsewhere", 3)
        append(others / "b", 4)
        arrived(server, 5)
    assert (stored(server), run.rejected, run.notices) == (names(5), [], [])
