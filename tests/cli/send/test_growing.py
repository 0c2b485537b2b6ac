import os
from pathlib import Path

import pytest

from forebay.cli.send.checkpoint import Checkpoint, CheckpointFile, Pending
from forebay.cli.send.growing import CHUNK_BYTES, HEAD_BYTES, TAIL_BYTES, GrowingFile


def test_only_whole_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    file = GrowingFile(path)
    assert [file.readline(100), file.readline(100), file.position] == [b"one\n", b"", 4]
    with path.open("ab") as more:
        more.write(b"o\n" + b"x" * (2 * CHUNK_BYTES) + b"\nrest")
    assert file.readline(100) == b"two\n"
    assert len(file.readline(10 * CHUNK_BYTES)) == 2 * CHUNK_BYTES + 1
    assert file.readline(100) == b""
    file.takes_rest = True
    assert [file.readline(3), file.readline(3), file.readline(3)] == [b"res", b"t", b""]
    file.close()


def test_a_longer_line_comes_in_pieces_and_a_limit_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"abcdefgh\nij\nkl\n")
    file = GrowingFile(path)
    assert [file.readline(5), file.readline(5)] == [b"abcde", b"fgh\n"]
    file.limit = 12
    assert [file.readline(5), file.readline(5)] == [b"ij\n", b""]
    file.limit = None
    assert file.readline(5) == b"kl\n"
    file.close()


def test_a_mark_is_of_its_file_and_of_copies(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 2 * HEAD_BYTES)
    (tmp_path / "copy").write_bytes(path.read_bytes())
    file, copy = GrowingFile(path), GrowingFile(tmp_path / "copy")
    checkpoint = file.checkpoint(HEAD_BYTES + 10, 1)
    assert checkpoint.head_bytes == HEAD_BYTES
    assert (file.was(checkpoint), file.is_copy(checkpoint)) == (True, False)
    assert (copy.was(checkpoint), copy.is_copy(checkpoint)) == (False, True)
    with path.open("r+b") as other, (tmp_path / "copy").open("r+b") as another:
        for to in (other, another):
            to.truncate(100)
        assert not file.was(checkpoint)
        assert not copy.is_copy(checkpoint)
        for to in (other, another):
            to.write(b"y" * 2 * HEAD_BYTES)
        assert not file.was(checkpoint)
        assert not copy.is_copy(checkpoint)
    empty = GrowingFile(tmp_path / "copy")
    empty.restart()
    (tmp_path / "copy").write_bytes(b"")
    empty.restart()
    assert not file.is_copy(empty.checkpoint(0, 0)), "anything begins with nothing"
    for opened in (file, copy, empty):
        opened.close()


@pytest.mark.parametrize("after", [b"", b"n", b"new\n" * 3, b"new and longer than it was before\n"])
def test_truncation_is_seen_whatever_was_written_since(tmp_path: Path, after: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n" * 3)
    file = GrowingFile(path)
    while file.readline(100):
        pass
    old = file.checkpoint(file.position, 3)
    assert (old.offset, file.truncated) == (12, False)
    with path.open("r+b") as other:
        other.truncate(0)
        other.write(after)
    assert (file.readline(100), file.truncated) == (b"", True), "this does not follow on what was read"
    assert file.checkpoint(file.position, 3).head == old.head
    file.restart()
    assert (file.readline(100), file.truncated) == (after[: after.find(b"\n") + 1], False)
    file.close()


def test_lines_that_were_read_before_a_truncation_are_there_and_halves_are_not(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nha")
    file = GrowingFile(path)
    assert file.readline(100) == b"one\n"
    with path.open("ab") as other:
        other.write(b"lf")
    file.look()
    path.write_bytes(b"other\n" * 10)
    file.takes_rest = True
    assert [file.readline(100), file.readline(100)] == [b"two\n", b""]
    assert (file.position, file.truncated, file.unread) == (8, True, 4)
    file.close()


def test_a_file_that_begins_as_before_is_told_by_what_comes_before_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "log"
    same = b"#" * HEAD_BYTES + b"\n"
    path.write_bytes(same + b"a" * TAIL_BYTES + b"\n")
    file = GrowingFile(path)
    while file.readline(HEAD_BYTES * 2):
        pass
    path.write_bytes(same + b"b" * TAIL_BYTES + b"\nmore\n")
    assert (file.readline(100), file.truncated) == (b"", True)
    file.close()


def test_one_that_is_smaller_at_a_look_was_truncated_though_it_looks_as_before_later(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = HEAD_BYTES // len(b"same\n") + 1
    path.write_bytes(b"same\n" * 2 * lines)
    file = GrowingFile(path)
    while file.readline(100):
        pass
    path.write_bytes(b"same\n" * lines)
    file.look()
    path.write_bytes(b"same\n" * 3 * lines)
    assert (file.readline(100), file.truncated) == (b"", True)
    file.close()


def test_a_file_is_readable_wherever_it_went(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    file = GrowingFile(path)
    assert file.is_at(path)
    path.unlink()
    assert not file.is_at(path)
    path.write_bytes(b"two\n")
    assert not file.is_at(path)
    assert file.readline(100) == b"one\n"
    file.close()


def test_a_mark_file_is_one_processs(tmp_path: Path) -> None:
    path = tmp_path / "state"
    checkpoints = CheckpointFile(path)
    assert checkpoints.last is None
    checkpoint = Checkpoint(1, 2, "head", 4, 100, 3, 5, (6, 7), Pending(200, "key", (150,)))
    checkpoints.write(checkpoint)
    with pytest.raises(BlockingIOError):
        CheckpointFile(path)
    checkpoints.close()
    again = CheckpointFile(path)
    assert again.last == checkpoint
    again.close()
    for text, why in [
        (b"{}", "holds no position: "),
        (b"", "holds no position but 0 zero bytes"),
        (b"\0" * 200, "holds no position but 200 zero bytes, as after a power loss"),
        (b'{"device":1,"ino', "holds no position: "),
        (b"\xff\xfe", "holds no position: "),
        (b'["another","version"]', "holds no position: "),
    ]:
        path.write_bytes(text)
        with pytest.raises(ValueError, match=f"state {why}.*move it away to send the file from its beginning"):
            CheckpointFile(path)
        assert path.read_bytes() == text


@pytest.mark.parametrize("size", [1, 100, 4096, 3 * CHUNK_BYTES + 5, 1 << 40])
def test_a_hole_before_the_lines_is_passed_over_whatever_its_size(tmp_path: Path, size: int) -> None:
    """A program that does not append goes on where it was, behind a truncation."""
    path = tmp_path / "log"
    with path.open("wb") as program:
        program.seek(size)
        program.write(b"one\ntw")
        program.flush()
        file = GrowingFile(path)
        assert [file.readline(100), file.readline(100)] == [b"one\n", b""]
        assert file.position == size + 4
        program.write(b"o\0\n\0\0\0three\n\0\0")
        program.flush()
        assert [file.readline(100) for _ in range(3)] == [b"two\0\n", b"three\n", b""]
        assert file.position == path.stat().st_size, "those of a hole that nothing comes after yet, too"
        assert not file.truncated
        program.seek(size, 1)
        program.write(b"four\n")
        program.flush()
        assert [file.readline(100), file.readline(100)] == [b"four\n", b""]
        file.close()


def test_a_hole_is_not_passed_over_beyond_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n" + b"\0" * 10 + b"two\n")
    file = GrowingFile(path)
    file.limit = 8
    assert [file.readline(100), file.readline(100), file.position] == [b"one\n", b"", 8]
    file.limit = None
    assert file.readline(100) == b"two\n"
    file.close()


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    before = len(os.listdir("/proc/self/fd"))
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            GrowingFile(path)
    assert len(os.listdir("/proc/self/fd")) == before
