"""The process that runs functions, as the engine speaks to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import pytest

from forebay.processors.command import command
from forebay.server.process import clean_environment
from support.calls import LENGTH, answered, call
from support.harness import COMMAND_SECONDS, wait_for

MEMORY = 256 << 20

MODULE = """
import os, subprocess, sys, time
import forebay

print("imported", sys.stdin.read())

@forebay.function("double")
def double(values):
    print("called with", values)
    os.write(1, b"written\\n")
    return [2 * value for value in values]

@forebay.function("ends")
def ends(values):
    sys.exit(0)

@forebay.function("sleeps")
def sleeps(values):
    print("asleep")
    time.sleep(3600)

@forebay.function("starts")
def starts(values):
    process = subprocess.Popen(["sleep", "3600"], close_fds=False)
    return [process.pid for _ in values]

@forebay.function("much", fields=("size",))
def much(values):
    return [len(bytearray(value.size)) for value in values]
"""


class Worker:
    """A process that runs functions, and the engine's end of its pipes."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.stdin: IO[bytes] = process.stdin
        self.stdout: IO[bytes] = process.stdout
        self._errors = errors

    def receive(self) -> bytes:
        head = self.stdout.read(4)
        assert len(head) == 4, self.errors()
        return self.stdout.read(LENGTH.unpack(head)[0])

    def hello(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.receive())
        return told

    def send(self, name: str, values: list[Any]) -> None:
        body = call(name, values)
        self.stdin.write(LENGTH.pack(len(body)) + body)
        self.stdin.flush()

    def call(self, name: str, values: list[Any]) -> tuple[list[tuple[int, str]], list[Any]]:
        self.send(name, values)
        return answered(self.receive())

    def errors(self) -> str:
        return self._errors.read_text()

    def wait(self) -> int:
        return self.process.wait(COMMAND_SECONDS)


Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts processes in a directory with the module `mine`; what still runs is killed after the test."""
    (tmp_path / "mine.py").write_text(MODULE)
    with contextlib.ExitStack() as started:

        def start(*modules: str, memory: int = MEMORY, installed: tuple[str, ...] = ()) -> Worker:
            [python, *rest] = command(["one"], memory)[:-1]
            path = tmp_path / "errors"
            errors = started.enter_context(path.open("wb"))
            process = started.enter_context(
                subprocess.Popen(
                    [python, *rest, *(part for each in installed for part in ("--installed", each)), *modules],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=tmp_path,
                    # As a server is started, whose Python buffers what is printed.
                    env={name: text for name, text in clean_environment().items() if name != "PYTHONUNBUFFERED"},
                )
            )
            started.callback(process.kill)
            return Worker(process, path)

        yield start


def test_it_names_its_functions_and_answers_calls_until_its_input_ends(start: Start) -> None:
    worker = start("mine")
    assert worker.hello() == {"protocol": 1, "functions": ["double", "ends", "much", "sleeps", "starts"]}
    assert worker.call("double", [1, 2]) == ([], [2, 4])
    assert worker.call("double", [1, None, 3])[1] == [2, None, 6]
    worker.send("double", list(range(100_000)))
    worker.stdin.close()
    assert answered(worker.receive()) == ([], list(range(0, 200_000, 2)))
    assert worker.stdout.read() == b""
    assert worker.wait() == 0


def test_what_user_code_prints_and_reads_has_nothing_to_do_with_frames(start: Start) -> None:
    worker = start("mine")
    worker.hello()
    worker.call("double", [1])
    # Lines are written when they are printed: a process that is killed would lose them.
    assert worker.errors() == "imported \ncalled with [1]\nwritten\n"


def test_a_process_that_a_function_leaves_behind_holds_no_pipe_open(start: Start) -> None:
    worker = start("mine")
    worker.hello()
    [], [pid] = worker.call("starts", [0])
    try:
        worker.stdin.close()
        assert worker.stdout.read() == b""
        assert worker.wait() == 0
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_function_that_hangs_does_not_outlive_the_engine(start: Start) -> None:
    worker = start("mine")
    worker.hello()
    worker.send("sleeps", [0])
    wait_for("the function", lambda: "asleep" in worker.errors())
    worker.stdin.close()
    assert worker.wait() == 0


def test_a_function_that_ends_the_process_is_a_crash(start: Start) -> None:
    worker = start("mine")
    worker.hello()
    worker.send("ends", [0])
    assert worker.stdout.read() == b""
    assert worker.wait() == 1
    assert "SystemExit: 0" in worker.errors()


def test_interrupts_are_the_engines(start: Start) -> None:
    worker = start("mine")
    worker.hello()
    worker.process.send_signal(signal.SIGINT)
    assert worker.call("double", [1]) == ([], [2])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit that holds")
def test_memory_beyond_the_limit_is_a_failure_of_its_record(start: Start) -> None:
    worker = start("mine")
    worker.hello()
    sizes = [{"size": size} for size in (10, MEMORY, 20)]
    assert worker.call("much", sizes) == ([(1, "MemoryError")], [10, None, 20])
    assert worker.call("much", [{"size": MEMORY // 2}]) == ([], [MEMORY // 2])


def test_an_engine_that_does_not_take_the_answer_is_no_error(start: Start) -> None:
    worker = start("mine")
    worker.hello()
    worker.stdout.close()
    worker.send("double", list(range(100_000)))
    assert worker.wait() == 0
    assert "Traceback" not in worker.errors()


def refused(worker: Worker) -> str:
    told = worker.hello()
    assert told.keys() == {"protocol", "functions", "error"}
    assert told["functions"] == []
    assert worker.stdout.read() == b""
    assert worker.wait() == 1
    assert "Traceback" not in worker.errors()
    return str(told["error"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import nothing_of_the_name",
            "ModuleNotFoundError: No module named 'nothing_of_the_name', {}/wrong.py:1; mod",
        ),
        ("\n\nraise ValueError('why')", "ValueError: why, {}/wrong.py:3; modules are looked for in {}"),
        ("def f(:", "SyntaxError: invalid syntax (wrong.py, line 1); modules"),
        ("import sys; sys.exit(3)", "SystemExit: 3, {}/wrong.py:1; modules"),
        (
            "import forebay; forebay.function('a b')",
            "InvalidRequest: 'a b' is no name of a function: 1 to 249 letters, digits and . _ -, as in "
            "@forebay.function('score'), {}/wrong.py:1; modules",
        ),
    ],
)
def test_a_module_that_cannot_be_imported_is_said_with_its_place(
    start: Start, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "wrong.py").write_text(text)
    error = refused(start("mine", "wrong"))
    assert error.startswith(f"the module 'wrong' cannot be imported: {message.replace('{}', str(tmp_path))}")
    assert error.endswith("this shows the whole error: python -c 'import wrong'")


def test_a_module_that_is_not_there_or_has_no_functions(start: Start, tmp_path: Path) -> None:
    assert refused(start("not_there")).startswith(
        "the module 'not_there' cannot be imported: ModuleNotFoundError: No module named 'not_there'; modules are "
        f"looked for in {tmp_path} and among what is installed"
    )
    (tmp_path / "empty.py").write_text("")
    assert refused(start("empty")) == ("the module 'empty' has no functions; put @forebay.function('name') before one")


def test_two_functions_of_one_name_are_both_named(start: Start, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("import forebay\n@forebay.function('double')\ndef again(values): ...")
    assert refused(start("mine", "other")) == (
        "two functions have the name 'double': double of the module 'mine' and again of the module 'other'; rename one "
        "of them"
    )
    # The same one in two modules is no other one.
    (tmp_path / "user.py").write_text("from mine import double")
    assert "double" in start("mine", "user", "mine").hello()["functions"]


def test_functions_of_entry_points(start: Start, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package/functions.py").write_text(
        "import forebay\n"
        "@forebay.function('double')\ndef double(values): return ['theirs'] * len(values)\n"
        "@forebay.function('half')\ndef half(values): return [value / 2 for value in values]"
    )
    one, all_of_them = "one=package.functions:half", "all=package.functions"
    assert start(installed=(one,)).hello()["functions"] == ["half"]
    both = start("mine", installed=(one, all_of_them))
    assert {"double", "half"} < set(both.hello()["functions"])
    # A module that is named wins.
    assert both.call("double", [1]) == ([], [2])
    assert both.call("half", [1]) == ([], [0.5])
    (tmp_path / "package/others.py").write_text((tmp_path / "package/functions.py").read_text())
    others = "others=package.others"
    assert refused(start(installed=(all_of_them, others))).startswith(
        "two functions have the name 'double': double of the entry point 'all' of forebay.functions, package.functions "
        "and double of the entry point 'others' of forebay.functions, package.others; rename one"
    )
    # And settles which one of two packages it is.
    (tmp_path / "chosen.py").write_text("from package.others import double, half")
    assert start("chosen", installed=(all_of_them, others)).hello()["functions"] == ["double", "half"]
    missing = refused(start(installed=("one=package.functions:third",)))
    assert missing.startswith(
        "the entry point 'one' of forebay.functions, package.functions:third: there is no 'third'"
    )
    assert "is neither a module nor made by" in refused(start(installed=("one=package.functions:forebay.__doc__",)))


def test_the_command_is_that_of_modules_and_of_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name, value = "half", "package.functions:half"

    points: list[type[Point]] = []
    monkeypatch.setattr(metadata, "entry_points", lambda group: points if group == "forebay.functions" else None)
    assert command([], MEMORY) == []
    run = [sys.executable, "-m", "forebay.processors.worker", "--memory", str(MEMORY)]
    assert command(["a", "b.c"], MEMORY) == [*run, "a", "b.c"]
    points.append(Point)
    assert command([], MEMORY) == [*run, "--installed", "half=package.functions:half"]
    assert command(["a"], MEMORY) == [*run, "--installed", "half=package.functions:half", "a"]


def test_it_imports_little() -> None:
    """Its start is what a processor waits for after a function was killed."""
    show = "import sys, forebay.processors.worker; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, check=True, text=True).stdout.split()
    for module in ("forebay._forebay", "forebay.embedded", "forebay.server", "asyncio", "importlib.metadata", "numpy"):
        assert module not in loaded
