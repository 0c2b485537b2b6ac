from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.cli.send import path_watch
from forebay.cli.send.growing import GrowingFile
from forebay.cli.send.path_watch import MAX_WAITING, PathWatch
from support.harness import wait_for


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Path, PathWatch]]:
    path = tmp_path / "log"
    watching = PathWatch(path)
    yield path, watching
    watching.close()


def rotate(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)


def read_all(watching: PathWatch) -> list[bytes]:
    found = []
    while (file := watching.next) is not None:
        watching.read(file)
        found.append(file.readline(100))
    return found


def test_each_file_that_was_there_can_be_read_though_it_is_gone(watched: tuple[Path, PathWatch]) -> None:
    path, watching = watched
    watching.start()
    assert watching.next is None
    for number in range(3):
        before = len(watching.known)
        rotate(path, f"{number}\n")
        wait_for("the file", lambda before=before: len(watching.known) > before)  # type: ignore[misc]
    assert read_all(watching) == [b"0\n", b"1\n", b"2\n"]


def test_what_is_kept_open_is_bounded_and_what_is_missed_is_known(
    watched: tuple[Path, PathWatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, watching = watched
    assert MAX_WAITING > 10
    monkeypatch.setattr(path_watch, "MAX_WAITING", 2)
    for number in range(4):
        rotate(path, f"{number}\n")
        watching.look()
    assert len(watching.known) == 2
    file = watching.next
    assert file is not None
    watching.read(file)
    watching.look()
    gaps = []
    while (file := watching.next) is not None:
        watching.read(file)
        gaps.append((file.readline(100), file.after_gap))
    assert gaps == [(b"1\n", False), (b"3\n", True)]


def test_a_file_may_wait_for_another_to_be_read_before(watched: tuple[Path, PathWatch]) -> None:
    path, watching = watched
    rotate(path, "new\n")
    watching.look()
    new = watching.next
    assert new is not None
    watching.read(new)
    copy = path.with_name("log.1")
    copy.write_text("old\n")
    old = GrowingFile(copy)
    watching.read(old, keeps=True)
    watching.look()
    assert watching.next is new
    assert watching.known == {old.inode, new.inode}
    assert read_all(watching) == [b"new\n"]


def test_a_file_that_cannot_be_opened_is_said_to_who_asks(watched: tuple[Path, PathWatch]) -> None:
    path, watching = watched
    path.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        watching.look()
