import os
import threading
import time
from pathlib import Path

from forebay.cli.send.source import CHUNK_BYTES, Source


def all_lines(path: Path, limit: int) -> list[bytes]:
    with path.open("rb") as opened:
        source = Source(opened.fileno(), threading.Event())
        lines = list(iter(lambda: source.readline(limit), b""))
        assert source.position == path.stat().st_size
        return lines


def test_lines_are_those_of_the_file_whatever_the_chunks(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    long = b"x" * (CHUNK_BYTES - 3)
    path.write_bytes(b"\n".join([b"a", long, b"", b"bc", long + long, b"last"]))
    found = all_lines(path, 10 * CHUNK_BYTES)
    assert found == path.read_bytes().splitlines(keepends=True)
    assert b"".join(all_lines(path, 7)) == path.read_bytes()
    assert max(map(len, all_lines(path, 7))) == 7
    path.write_bytes(b"")
    assert all_lines(path, 7) == []


def test_a_wait_ends_when_the_run_is_stopped() -> None:
    reading, writing = os.pipe()
    stop = threading.Event()
    source = Source(reading, stop)
    os.write(writing, b"whole\npart")
    assert source.readline(100) == b"whole\n"
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    started = time.monotonic()
    assert source.readline(100) == b"", "what there is of a line is not read"
    assert time.monotonic() - started < 5
    timer.join()
    os.close(reading)
    os.close(writing)
