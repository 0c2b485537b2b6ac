import os
from pathlib import Path

import pytest

from forebay.sender.growing import CHUNK_BYTES, HEAD_BYTES, GrowingFile, is_replaced, rotated, successor
from forebay.sender.mark import Mark, MarkFile, Pending


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


def test_a_mark_is_of_its_file_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 2000)
    file = GrowingFile(path)
    mark = file.mark(1500)
    assert file.was(mark)
    assert mark.head_bytes == HEAD_BYTES
    with path.open("r+b") as other:
        other.truncate(100)
        assert not file.was(mark)
        other.write(b"y" * 2000)
        assert not file.was(mark)
    assert file.was(file.mark(0)) is False, "its head was read before"
    file.close()


@pytest.mark.parametrize("after", [b"", b"n", b"new and longer than it was before\n"])
def test_truncation_is_seen_whatever_was_written_since(tmp_path: Path, after: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n" * 3)
    file = GrowingFile(path)
    while file.readline(100):
        pass
    assert not file.was_truncated()
    with path.open("r+b") as other:
        other.truncate(0)
        other.write(after)
    assert file.was_truncated()
    assert file.readline(100) == (after if after.endswith(b"\n") else b"")
    assert not file.was_truncated()
    file.close()


def test_files_that_were_rotated_away_are_told_by_their_names_and_times(tmp_path: Path) -> None:
    path = tmp_path / "log"
    times = {
        "log": 50,
        "log.1": 40,
        "log-20240531": 30,
        "log.2024-05-30": 20,
        "log.forebay": 60,
        "log.2.gz": 35,
        "logs": 1,
    }
    for name, second in times.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (second, second))
    assert [other.name for other in rotated(path)] == ["log.1", "log-20240531", "log.2024-05-30"]
    followers = {}
    for name in ("log.2024-05-30", "log-20240531", "log.1"):
        file = GrowingFile(tmp_path / name)
        assert is_replaced(path, file)
        followers[name] = successor(path, file).name
        file.close()
    assert followers == {"log.2024-05-30": "log-20240531", "log-20240531": "log.1", "log.1": "log"}
    file = GrowingFile(path)
    assert not is_replaced(path, file)
    path.unlink()
    assert is_replaced(path, file)
    file.close()


def test_a_mark_file_is_one_processs(tmp_path: Path) -> None:
    path = tmp_path / "state"
    marks = MarkFile(path)
    assert marks.mark is None
    mark = Mark(1, 2, "head", 4, 100, Pending(200, "key"))
    marks.write(mark)
    with pytest.raises(BlockingIOError):
        MarkFile(path)
    marks.close()
    again = MarkFile(path)
    assert again.mark == mark
    again.close()
    path.write_bytes(b"{}")
    with pytest.raises(ValueError, match="holds no position"):
        MarkFile(path)
