"""A server with functions of a module."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.harness import RunningServer, wait_for
from support.processors import SOURCE, create_source, publish, results, transaction

pytestmark = pytest.mark.slow

MODULE = """
import os
import forebay

@forebay.function("score")
def score(values):
    return [{"score": 100 // value["amount"], "pid": os.getpid()} for value in values]
"""

SCORED = {"name": "scored", "source": SOURCE, "operations": [{"type": "map", "function": "score"}], "sink": "scores"}


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_functions_run_in_processes_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Callable[..., RunningServer]
) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    running = server(functions=["mine"], function_workers=1)
    create_source(running)
    running.post("/api/v1/processors", SCORED).raise_for_status()
    publish(running, *(transaction("a", amount, "10:00:00") for amount in (5, 0, 4)))
    found = [value for _, value in results(running, "scores", 2)]
    assert [value["score"] for value in found] == [20, 25]
    [pid] = {value["pid"] for value in found}
    assert pid != running.pid
    assert results(running, "scored.dead-letter", 1) == [(None, {"userId": "a", "amount": 0})]
    assert running.terminate() == 0
    # It ends with the server.
    wait_for("the end of the process", lambda: not is_running(pid))


def test_a_module_that_cannot_be_imported_is_said_where_a_function_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Callable[..., RunningServer]
) -> None:
    (tmp_path / "mine.py").write_text("import nothing_of_the_name")
    monkeypatch.chdir(tmp_path)
    running = server(functions=["mine"])
    create_source(running)
    answer = running.post("/api/v1/processors", SCORED)
    assert answer.status_code == 400
    assert "the module 'mine' cannot be imported: ModuleNotFoundError" in answer.text


def test_a_module_that_cannot_be_imported_is_waited_for_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Callable[..., RunningServer]
) -> None:
    module = tmp_path / "mine.py"
    module.write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    running = server(functions=["mine"])
    create_source(running)
    running.post("/api/v1/processors", SCORED).raise_for_status()
    publish(running, transaction("a", 5, "10:00:00"))
    assert [value["score"] for _, value in results(running, "scores", 1)] == [20]
    assert running.terminate() == 0
    module.write_text("import nothing_of_the_name")
    running.start()
    publish(running, transaction("a", 4, "10:00:00"))
    wait_for("what it waits for", lambda: "cannot be imported" in str(blocked_by(running)))
    module.write_text(MODULE)
    assert [value["score"] for _, value in results(running, "scores", 2)] == [20, 25]


def blocked_by(running: RunningServer) -> str | None:
    with running.client() as client:
        found: str | None = client.get("/api/v1/processors/scored").json()["blockedBy"]
        return found
