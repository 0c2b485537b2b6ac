"""docs/sdk.md: its examples run as they stand against a real server, and its tables say what the code says."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from forebay.client import AsyncClient, Client
from forebay.server.config import RANGES, Settings
from forebay.server.process import clean_environment
from support.harness import COMMAND_SECONDS, RunningServer, wait_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sdk.md").read_text()
URL = "http://127.0.0.1:8080"
SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```\n", re.MULTILINE | re.DOTALL)

STORED = {
    "Log events": {"logs": 4},
    "Analytics, events, streams": {"analytics": 1, "events": 1, "orders": 1},
    "asyncio": {"logs": 1001},
    "A spool: events outlive the process": {"logs": 1},
    "`logging`": {"logs": 2},
    "structlog": {"logs": 1},
    "What the server refuses": {"events": 1},
    "The account": {"logs": 1000},
    "Flush and close": {"logs": 1},
    "Forked workers": {"logs": 2},
}
"""The records that each example leaves on the server, by the heading it stands under."""

SAID = {
    "`logging`": r"INFO:shop.orders:order 17 shipped\nERROR:root:cannot divide\nTraceback(.*\n)*Zero.*\n",
    "What the server refuses": r"1 event rejected, the last since type: must not be empty: .*\n",
    "Flush and close": r"(1 event handed over after the client was closed, and dropped\n)?",
}
"""The client's log of some examples, which goes to stderr where nothing else is set up."""


class Example(NamedTuple):
    title: str
    shell: str
    program: str
    output: str


def examples() -> list[Example]:
    found = []
    for title, text in SECTION.findall(PAGE):
        shell = "".join(SHELL.findall(text))
        found += [Example(title, shell, program, output) for program, output in EXAMPLE.findall(text)]
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("server") / "data", auth=True).start()
    yield running
    running.stop()


def environment(server: RunningServer) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return clean_environment() | {"FOREBAY_TOKEN": server.first_token(), "PATH": path}


def ran(server: RunningServer, command: list[str], directory: Path, said: str = "") -> str:
    """Its output."""
    done = subprocess.run(
        [word.replace(URL, server.url) for word in command],
        cwd=directory,
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(said, done.stderr), done.stderr
    return done.stdout


def test_no_example_is_left_out() -> None:
    assert [example.title for example in examples()] == list(STORED)
    assert PAGE.count("```python\n") == len(STORED)


@pytest.mark.parametrize("example", examples(), ids=lambda example: str(example.title))
def test_an_example_prints_what_stands_below_it_and_its_events_arrive(
    server: RunningServer, tmp_path: Path, example: Example
) -> None:
    if example.shell:
        ran(server, ["bash", "-euo", "pipefail", "-c", example.shell], tmp_path)
    before = server.totals()
    (tmp_path / "example.py").write_text(example.program.replace(URL, server.url))
    said = SAID.get(example.title, "")
    assert ran(server, [sys.executable, "-W", "error", "example.py"], tmp_path, said) == example.output
    after = server.totals()
    assert {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)} == STORED[
        example.title
    ]


def test_the_recommended_logging_shows_what_is_lost(server: RunningServer, tmp_path: Path) -> None:
    (program,) = [example.program for example in examples() if example.title == "`logging`"]
    (tmp_path / "example.py").write_text(program.replace(URL, server.url))
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env=environment(server) | {"FOREBAY_TOKEN": "wrong"},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert "refuses this client's token (401: the token is unknown)" in done.stderr


def test_the_followed_file_arrives(server: RunningServer, tmp_path: Path) -> None:
    (text,) = [text for title, text in SECTION.findall(PAGE) if title.startswith("`forebay send --follow`")]
    (shell,) = SHELL.findall(text)
    before = server.totals().get("logs", 0)
    command = ["bash", "-euo", "pipefail", "-c", shell.replace(URL, server.url)]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(server), start_new_session=True) as process:
        try:
            wait_for("the line of the example", lambda: server.totals().get("logs", 0) == before + 1)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(COMMAND_SECONDS)


def rows(heading: str) -> list[list[str]]:
    (text,) = [text for title, text in SECTION.findall(PAGE) if title == heading]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def meant(cell: str) -> Any:
    """The value that a cell shows."""
    if cell == "none":
        return None
    if cell.startswith("`"):
        return cell.strip("`")
    number, _, unit = cell.replace(",", "").partition(" ")
    return float(number) * {"": 1, "s": 1, "MiB": 1 << 20}[unit]


def test_every_argument_stands_there_with_its_default() -> None:
    parameters = list(inspect.signature(Client).parameters.values())[1:]
    written = {row[0].strip("`"): meant(row[1]) for row in rows("Arguments")}
    assert written == {parameter.name: parameter.default for parameter in parameters}


@pytest.mark.parametrize("row", [row for row in rows("Arguments") if row[2]], ids=lambda row: str(row[0]))
def test_the_range_of_an_argument_is_the_one_that_is_checked(row: list[str]) -> None:
    low, high = meant(row[2]), meant(row[3])
    for wrong in (low - 1, high * 2):
        with pytest.raises(ValueError, match=" must be from ") as raised:
            Client(URL, **{row[0].strip("`"): wrong})
        said = re.search(r"from (\S+) to (\S+)$", str(raised.value))
        assert said is not None
        assert (float(said[1]), float(said[2])) == (low, high)


@pytest.mark.parametrize("row", rows("Fixed sizes"), ids=lambda row: str(row[2]))
def test_a_fixed_size_is_the_code_s(row: list[str]) -> None:
    module, _, name = row[2].strip("`").rpartition(".")
    assert meant(row[1]) == getattr(import_module(module), name)


def test_the_window_is_the_server_s_default() -> None:
    assert f"{Settings().dedup_window_seconds} s unless the operator chose otherwise" in PAGE
    assert "at most 24 hours" in PAGE
    assert RANGES["dedup_window_seconds"] == (1, 24 * 3600)


def test_both_clients_flush_for_as_long() -> None:
    assert inspect.signature(Client.flush).parameters["timeout"].default == 30.0
    assert inspect.signature(AsyncClient.flush).parameters["timeout"].default == 30.0
