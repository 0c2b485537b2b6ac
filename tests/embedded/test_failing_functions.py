"""Functions that hang, end their process, take memory or raise: each harms its own record."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import forebay
from support.harness import wait_for

pytestmark = pytest.mark.slow

MODULE = """
import os, signal, time
import forebay

@forebay.function("odd")
def odd(values):
    for value in values:
        match value["do"]:
            case "hang":
                time.sleep(1000)
            case "exit":
                os._exit(3)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "raise":
                raise ValueError("no " + value["do"])
            case "allocate":
                bytearray(1 << 40)
            case "grow":
                value["text"] = "x" * 900_000
            case "leak":
                leaked.append(b"x" * (150 << 20))
    return [{"pid": os.getpid(), **value} for value in values]

leaked = []

@forebay.function("other")
def other(values):
    return values
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[forebay.Log]:
    (tmp_path / "odd_functions.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = {"function_timeout_ms": 5000, "function_workers": 1, "function_worker_bytes": 128 << 20}
    with forebay.open(tmp_path / "data", functions=["odd_functions"], **options) as opened:
        opened.create_stream("in")
        yield opened


def run(log: forebay.Log, *does: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What becomes of a record that does each: the results, and the failures by what was done."""
    log.append("in", [forebay.Record({"do": do}) for do in does])
    pipeline = forebay.pipeline("p", source="in", offset="earliest").map("odd").sink("out")
    log.processors.create(pipeline)
    wait_for("all records", lambda: log.processors.metrics("p").metrics.lag == 0)
    letters = log.processors.dead_letters("p").dead_letters
    return list(log.read("out", 0)), {letter.value["do"]: letter.error for letter in letters}


def test_one_that_hangs_or_ends_its_process_costs_its_own_record(log: forebay.Log) -> None:
    results, failed = run(log, "a", "hang", "b", "exit", "c", "die", "d", "raise", "e")
    assert [value["do"] for value in results] == ["a", "b", "c", "d", "e"]
    assert failed == {
        "hang": "the function took longer than 1000 ms",
        "exit": "the function gave no answer: its process ended with code 3",
        "die": "the function gave no answer: its process was ended by signal 9",
        "raise": "ValueError: no raise",
    }
    described = log.processors["p"]
    assert described.status == "running"
    assert described.degraded is not None
    assert described.degraded.startswith("operations[0]: ")
    # The others go on with the process that came after them.
    log.processors.create(forebay.pipeline("q", source="in", offset="earliest").map("other").sink("also"))
    wait_for("the other function", lambda: log.processors.metrics("q").metrics.results == 9)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the memory of a process is not told here")
def test_a_process_that_has_grown_is_replaced_and_one_allocation_beyond_its_memory_fails(log: forebay.Log) -> None:
    results, failed = run(log, "a", "allocate", "b")
    assert list(failed) == ["allocate"]
    assert failed["allocate"].startswith("MemoryError")
    [first] = {value["pid"] for value in results}
    for do in ("leak", "c"):
        log.append("in", forebay.Record({"do": do}))
        wait_for("the next", lambda: log.processors.metrics("p").metrics.lag == 0)
    pids = [value["pid"] for value in log.read("out", 0)]
    assert pids[:3] == [first] * 3
    assert pids[3] != first, "it had leaked"


def test_a_hanging_function_does_not_hold_up_the_end_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_functions.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    with forebay.open(tmp_path / "data", functions=["odd_functions"]) as log:
        log.create_stream("in")
        log.processors.create(forebay.pipeline("p", source="in").map("odd").sink("out"))
        log.append("in", forebay.Record({"do": "hang"}))
        wait_for("the call to be shown", lambda: log.processors["p"].blocked_by is not None)
        assert "odd" in (log.processors["p"].blocked_by or "")
    with forebay.open(tmp_path / "data") as log:
        assert log.processors.metrics("p").metrics.events_processed == 0, "it is read again"


def test_one_that_hangs_gives_others_their_turns(log: forebay.Log) -> None:
    log.append("in", [forebay.Record({"do": "hang"}) for _ in range(30)])
    log.processors.create(forebay.pipeline("p", source="in", offset="earliest").map("odd").sink("out"))
    wait_for("the first failure", lambda: log.processors["p"].status == "running")
    log.processors.create(forebay.pipeline("q", source="in", offset="earliest").map("other").sink("also"))
    wait_for("the other function", lambda: log.processors.metrics("q").metrics.results == 30)
    assert log.processors.metrics("p").metrics.dead_letters == 0, "it tries its records alone, a second each"
    # What it has left is nobody's once it is gone.
    log.processors.delete("p")
    preview = forebay.pipeline("r", source="in").map("other").sink("out")
    assert len(log.processors.preview(preview).results) == 30


def test_a_preview_of_large_results_is_cut(log: forebay.Log) -> None:
    log.append("in", [forebay.Record({"do": "grow"}) for _ in range(100)])
    preview = log.processors.preview(forebay.pipeline("p", source="in").map("odd").sink("out"))
    assert preview.more_results
    assert 4 <= len(preview.results) < 10
