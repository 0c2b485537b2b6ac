"""Long commands show how far they are on a terminal, in a line that is gone at the end, and nothing elsewhere."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import forebay
from forebay import _forebay
from support.harness import RunningServer, event, run
from support.terminal import Terminal

Start = Callable[..., RunningServer]
LINES = 200


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.ndjson"
    path.write_text("".join(json.dumps(event(f"{number}")) + "\n" for number in range(LINES)))
    return path


def on_a_terminal(directory: Path, *arguments: object, **environment: str) -> tuple[int, str]:
    """The exit status, and everything that was written, with its control sequences."""
    terminal = Terminal([sys.executable, "-m", "forebay", *arguments], directory, environment)
    try:
        return terminal.ended(), terminal.shown.decode()
    finally:
        terminal.close()


def left(shown: str) -> str:
    """Returns the text on the terminal at the end: `\\r\\x1b[K` erases what came before it on its line."""
    return "\n".join(line.rsplit("\r\x1b[K", 1)[-1] for line in shown.replace("\r\n", "\n").split("\n"))


@pytest.mark.slow
def test_bench_and_send(server: Start, tmp_path: Path, lines: Path) -> None:
    running = server()
    options = ("--duration", "0.5", "--warmup", "0.2", "--connections", "1")
    for arguments, moving, summary in (
        (("bench", running.url, *options), r"(warmup|measuring) \d\.\d s  [\d,]+ events", "acknowledged "),
        (("send", lines, "--url", running.url), r"\[#* *\] +\d+%", f"acknowledged {LINES} events"),
    ):
        status, shown = on_a_terminal(tmp_path, *arguments)
        assert status == 0, shown
        assert re.search(moving, shown), shown
        assert not re.search(moving, left(shown)), shown
        assert summary in left(shown)
        quiet = run(*arguments)
        assert (quiet.returncode, quiet.stderr) == (0, "")
        status, shown = on_a_terminal(tmp_path, *arguments, TERM="dumb")
        assert (status, "\x1b" in shown) == (0, False)


@pytest.mark.slow
def test_verify_and_repair(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data") as log:
        log.create_stream("orders")
        log.append("orders", list(range(1000)))
    for command, summary in (("verify", "clean: nothing is damaged"), ("repair", "nothing to do")):
        status, shown = on_a_terminal(tmp_path, command)
        assert status == 0, shown
        assert re.search(r"\[#* *\] +\d+%  \d+ of \d+ MiB", shown)
        assert "MiB" not in left(shown)
        assert summary in left(shown)
        quiet = run(command, "--data-dir", tmp_path / "data")
        assert (quiet.returncode, quiet.stderr) == (0, "")
    # Nothing is shown of a directory whose size nobody knows.
    status, shown = on_a_terminal(tmp_path, "verify", "--data-dir", "missing")
    assert (status, "MiB" in shown) == (2, False)


def test_checks_count_what_they_have_read(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data") as log:
        log.create_stream("orders")
        log.append("orders", list(range(1000)))
    progress = _forebay.ReadProgress()
    assert (progress.read, progress.total) == (0, 0)
    size = _forebay.verify(str(tmp_path / "data"), progress)["bytes"]
    assert 0 < size == progress.read == progress.total
    again = _forebay.ReadProgress()
    _forebay.repair(str(tmp_path / "data"), False, progress=again)
    assert (again.read, again.total) == (size, size)


@pytest.mark.slow
def test_torture(tmp_path: Path) -> None:
    status, shown = on_a_terminal(tmp_path, "torture", "--cycles", 1, "--dir", tmp_path / "disk", "--seed", 5)
    assert status == 0, shown
    assert re.search(r"kill 1 of 1 [a-z ]+, \d+ events checked", shown)
    assert "kill 1 of 1" not in left(shown)
    assert "PASSED" in left(shown)
