"""Functions in the process that opened the log, and in processes of their own."""

from __future__ import annotations

import gc
import queue
import threading
from pathlib import Path
from typing import Any

import pytest

import forebay
from forebay.embedded import functions
from forebay.errors import Closed, InvalidRequest
from support.calls import answered, call
from support.harness import wait_for

SECONDS = 30.0


@forebay.function("double")
def double(values: list[Any]) -> list[Any]:
    return [2 * value for value in values]


@forebay.function("double")
def again(values: list[Any]) -> list[Any]:
    return values


@forebay.function("ends")
def ends(values: list[Any]) -> list[Any]:
    raise SystemExit(3)


class Calling:
    """An engine that has nothing but calls of functions."""

    def __init__(self) -> None:
        self.closed = False
        self._calls: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()

    def take_function_call(self, timeout_ms: int) -> tuple[int, bytes] | None:
        assert timeout_ms > 0
        taken = self._calls.get()
        if self.closed:
            raise Closed("the log is closed")
        return taken

    def answer_function_call(self, ticket: int, body: bytes) -> None:
        self._answers.put((ticket, body))

    def close(self) -> None:
        self.closed = True
        self._calls.put(None)

    def call(self, ticket: int, body: bytes) -> Any:
        # As when there was no call for so long.
        self._calls.put(None)
        self._calls.put((ticket, body))
        answer, text = self._answers.get(timeout=SECONDS)
        assert answer == ticket
        return answered(text)


class Owner:
    pass


def serve(engine: Any, owner: object) -> threading.Thread:
    return functions.serve(engine, {"double": double, "ends": ends}, owner)


def test_calls_are_answered_until_the_engine_is_closed() -> None:
    engine, owner = Calling(), Owner()
    thread = serve(engine, owner)
    assert thread.daemon
    assert engine.call(7, call("double", [1, 2])) == ([], [2, 4])
    # What would end a process ends no thread that the engine counts on.
    assert engine.call(8, call("ends", [1])) == ([(0, "SystemExit: 3")], [None])
    assert engine.call(9, call("double", [3])) == ([], [6])
    engine.close()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_an_owner_that_is_forgotten_closes_its_engine() -> None:
    engine, owner = Calling(), Owner()
    thread = serve(engine, owner)
    assert engine.call(1, call("double", [1])) == ([], [2])
    assert not engine.closed
    del owner
    gc.collect()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert engine.closed


def test_functions_are_modules_and_functions() -> None:
    assert functions.parted(()) == ([], {})
    assert functions.parted(["mine", double, "other", double]) == (["mine", "other"], {"double": double})


UNTYPED: Any = forebay.open


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("mine", r"^functions is 'mine', and not a list; write \['mine'\]$"),
        (
            [len],
            r"^functions has <built-in function len>, which is neither the name of a module nor made by @forebay\.",
        ),
        ([double, again], "^functions has two functions of the name 'double'; rename one of them$"),
        (["mine/it"], "^functions has 'mine/it', which is no module as import takes it: scoring, package.scoring$"),
    ],
)
def test_what_is_no_function_is_refused_before_anything_is_made(tmp_path: Path, wrong: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        UNTYPED(tmp_path / "log", functions=wrong)
    assert not (tmp_path / "log").exists()


MODULE = """
import forebay

@forebay.function("score", fields=("amount",))
def score(values):
    return [{"score": 100 // value.amount} for value in values]
"""

SCORED = forebay.pipeline("scored", source="orders").map("score").sink("scores")


@forebay.function("score")
def score(values: list[Any]) -> list[Any]:
    return [{"score": 100 // value["amount"]} for value in values]


def scored(log: forebay.Log) -> None:
    """One order of three fails, and is kept with the reason."""
    log.create_stream("orders")
    log.processors.create(SCORED)
    log.append("orders", [{"amount": 5}, {"amount": 0}, {"amount": 4}])
    wait_for("the scores", lambda: len(log.read("scores", 0)) == 2)
    assert list(log.read("scores", 0)) == [{"score": 20}, {"score": 25}]
    [dead] = log.read("scored.dead-letter", 0)
    assert dead == {"amount": 0}


def test_a_function_of_this_process_maps_records(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "log", functions=[score]) as log:
        scored(log)


def test_a_function_of_a_module_maps_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    with forebay.open(tmp_path / "log", functions=["mine"]) as log:
        scored(log)


def test_a_function_that_is_given_wins_over_one_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)

    @forebay.function("score")
    def other(values: list[Any]) -> list[Any]:
        return ["given" for _ in values]

    with forebay.open(tmp_path / "log", functions=["mine", other]) as log:
        log.create_stream("orders")
        log.append("orders", {"amount": 5})
        assert [result.value for result in log.processors.preview(SCORED).results] == ["given"]


def test_a_log_that_is_forgotten_gives_its_directory_free(tmp_path: Path) -> None:
    log = forebay.open(tmp_path / "log", functions=[score])
    log.create_stream("orders")
    del log
    gc.collect()
    with forebay.open(tmp_path / "log", functions=[score]) as log:
        assert "orders" in {stream.name for stream in log.streams()}
