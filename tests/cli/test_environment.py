"""Commands obey the environment: where a server or a directory is, whether there are colours, and what a shell asks for
to complete a line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import forebay
from support.harness import RunningServer, batch, event, run, wait_for
from support.terminal import Shell, Terminal, executable, require_shell

Start = Callable[..., RunningServer]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "stopped"
    with forebay.open(path) as log:
        log.create_stream("orders")
        log.append("orders", "from the directory")
    return path


@pytest.mark.slow
def test_the_command_line_wins_over_the_environment_and_a_url_over_a_directory(directory: Path, server: Start) -> None:
    running = server()
    running.post("/api/v1/streams", {"name": "orders"}).raise_for_status()
    running.post("/api/v1/streams/orders/events", {"value": "from the server"}).raise_for_status()
    both = {"FOREBAY_URL": running.url, "FOREBAY_DATA_DIR": str(directory)}
    for arguments, environment, where in (
        ((), {"FOREBAY_URL": running.url}, "server"),
        ((), {"FOREBAY_DATA_DIR": str(directory)}, "directory"),
        ((), both, "server"),
        (("--data-dir", directory), both, "directory"),
        (("--url", running.url), {"FOREBAY_DATA_DIR": str(directory)}, "server"),
        (("--data-dir", directory), {"FOREBAY_URL": running.url}, "directory"),
    ):
        ended = run("read", "orders", *arguments, **environment)
        assert ended.returncode == 0, ended.stderr
        assert f"from the {where}" in ended.stdout, (arguments, environment)
    assert run("read", "orders", "--data-dir", directory, "--url", running.url).returncode == 2


@pytest.mark.slow
def test_every_command_that_asks_a_server_takes_its_url_and_token(server: Start, tmp_path: Path) -> None:
    running = server()
    lines = tmp_path / "lines"
    lines.write_bytes(b"".join(batch(event("a"))[len(b'{"events": [') : -2] + b"\n" for _ in range(2)))
    environment = {"FOREBAY_URL": running.url, "FOREBAY_TOKEN": "any, where none is asked for"}
    for arguments in (("inspect",), ("read", "logs"), ("send", lines)):
        ended = run(*arguments, **environment)
        assert ended.returncode == 0, (arguments, ended.stderr)
    # A busy machine may acknowledge nothing in so short a time.
    load = ("bench", "--duration", "0.1", "--warmup", "0")
    wait_for("a load that is acknowledged", lambda: run(*load, **environment).returncode == 0)


def test_the_directory_of_the_environment_is_that_of_every_command(directory: Path) -> None:
    for arguments in (("verify",), ("repair", "--dry-run"), ("inspect",), ("read", "orders")):
        ended = run(*arguments, FOREBAY_DATA_DIR=str(directory))
        assert ended.returncode == 0, (arguments, ended.stderr)
    assert "made here yet" in run("token", "list", FOREBAY_DATA_DIR=str(directory)).stderr


@pytest.mark.slow
@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)])
def test_the_server_s_log_on_a_terminal_has_colours_unless_they_are_not_wanted(
    tmp_path: Path, variables: dict[str, str], coloured: bool
) -> None:
    """https://no-color.org."""
    command = [sys.executable, "-m", "forebay", "serve", "--data-dir", tmp_path / "data", "--port", "0"]
    terminal = Terminal(command, tmp_path, variables)
    try:
        terminal.wait_for(b"page")
        terminal.send(b"\x03")
        assert terminal.ended() == 0
        assert (b"\x1b[3" in terminal.shown) == coloured
    finally:
        terminal.close()


def completed(words: str, **environment: str) -> list[str]:
    """Returns the words that bash is offered, by the protocol of click's script: a kind and a text a line."""
    words_environment = {
        "_FOREBAY_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    ended = run(**words_environment, **environment)
    assert ended.returncode == 0, ended.stderr
    return [line.split(",", 1)[1] for line in ended.stdout.splitlines() if line]


@pytest.mark.slow
def test_commands_options_and_choices_are_completed(directory: Path) -> None:
    assert completed("forebay ver") == ["verify"]
    assert completed("forebay token re") == ["revoke"]
    assert completed("forebay read --da") == ["--data-dir"]
    assert completed("forebay bench --content tr") == ["track"]
    assert run("token", "create", "--name", "shop", "--role", "read", "--data-dir", directory).returncode == 0
    assert completed("forebay token revoke s", FOREBAY_DATA_DIR=str(directory)) == ["shop"]
    assert completed("forebay token revoke s", FOREBAY_DATA_DIR="nowhere") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "settings"),
    [
        ("bash", 'eval "$(_FOREBAY_COMPLETE=bash_source forebay)"\n'),
        ("zsh", 'autoload -Uz compinit && compinit -u\neval "$(_FOREBAY_COMPLETE=zsh_source forebay)"\n'),
        ("fish", "_FOREBAY_COMPLETE=fish_source forebay | source\n"),
    ],
)
def test_a_shell_completes_a_line(tmp_path: Path, shell: str, settings: str) -> None:
    require_shell(shell)
    executable(tmp_path / "bin/forebay", f'exec {sys.executable} -m forebay "$@"')
    terminal = Shell(shell, tmp_path, settings)
    try:
        terminal.send(b"forebay tort\t")
        terminal.wait_for(b"ure")
        terminal.send(b"--cyc\t")
        terminal.wait_for(b"les")
    finally:
        terminal.close()
