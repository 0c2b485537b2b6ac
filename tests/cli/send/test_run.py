"""A run ends with an account of every line, whatever fails in it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.send.test_delivery import EVERYTHING, Judge
from client.proxy import scripted
from forebay.cli.send import Delivery, FileSender, Line, Outcome, Rejections, drain_of
from support.harness import event

LINES = 3000

END_SECONDS = 60.0


def ended(url: str, path: Path, connections: int, keep: Callable[[Line, str], bool]) -> Outcome:
    """Returns what became of the lines of `path`; fails when the run does not end."""
    with path.open("rb") as file:
        sending = FileSender(file.fileno(), drain_of(url, None), connections=connections, patience_seconds=5, keep=keep)
        running = threading.Thread(target=sending.run, args=(lambda _: None,), daemon=True)
        running.start()
        running.join(END_SECONDS)
        assert not running.is_alive(), "the run does not end"
    return sending.outcome


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "events.ndjson"
    made.write_bytes(b"".join(json.dumps(event(str(number % 500 + 1))).encode() + b"\n" for number in range(LINES)))
    return made


@pytest.mark.parametrize("connections", [1, 4])
def test_a_full_disk_for_what_is_rejected_ends_the_run(path: Path, connections: int) -> None:
    judge = Judge(EVERYTHING, names=True)
    with scripted(judge.answer) as server, Rejections("/dev/full") as rejections:
        outcome = ended(server.url, path, connections, rejections.keep)
    assert outcome.failure.endswith("is rejected and cannot be put aside: No space left on device")
    assert rejections.failure == "cannot write /dev/full: No space left on device"
    assert rejections.missing == f"1-{outcome.last_line}"
    assert outcome.rejected + outcome.undelivered == outcome.last_line


def test_a_bad_line_that_the_reader_finds_is_one_too(path: Path) -> None:
    path.write_bytes(b"no event\n" + path.read_bytes())
    judge = Judge(set(), names=True)
    with scripted(judge.answer) as server, Rejections("/dev/full") as rejections:
        outcome = ended(server.url, path, 1, rejections.keep)
    assert outcome.failure == "line 1 is rejected and cannot be put aside: No space left on device"
    assert outcome.acknowledged + outcome.rejected + outcome.undelivered == outcome.last_line


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_nothing_foresees_ends_the_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise MemoryError

    monkeypatch.setattr(Delivery, "post", broken)
    with Rejections(os.devnull) as rejections:
        outcome = ended("http://127.0.0.1:1", path, 2, rejections.keep)
    assert "failed: MemoryError" in outcome.failure
    assert outcome.undelivered == outcome.last_line == rejections.kept
