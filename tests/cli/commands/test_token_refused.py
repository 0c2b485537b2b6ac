"""Commands say that the server refuses their token and how to give one, and end with 1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.harness import RunningServer, event, run

pytestmark = pytest.mark.slow

ADVICE = "by --token or FOREBAY_TOKEN"


@pytest.fixture(scope="module")
def reader(authenticated_server: RunningServer) -> str:
    """A token that may read and nothing else."""
    made = run("token", "create", "--name", "reader", "--role", "read", "--data-dir", authenticated_server.data_dir)
    return made.stdout.split()[-1]


@pytest.mark.parametrize("how", ["none", "wrong", "without the role"])
@pytest.mark.parametrize("command", ["send", "send --follow", "bench", "read", "inspect"])
def test_a_command_names_the_option_and_fails(
    authenticated_server: RunningServer, reader: str, tmp_path: Path, command: str, how: str
) -> None:
    path = tmp_path / "log"
    path.write_text(json.dumps(event("x")) + "\n")
    token = {"none": [], "wrong": ["--token", "wrong"], "without the role": ["--token", reader]}[how]
    if how == "without the role" and command in ("read", "inspect"):
        pytest.skip("a reader may do this")
    arguments = {
        "send": ("send", path, "--url", authenticated_server.url),
        "send --follow": ("send", path, "--follow", "--url", authenticated_server.url),
        "bench": ("bench", authenticated_server.url, "--duration", "0.2", "--warmup", "0", "--connections", "1"),
        "read": ("read", "logs", "--url", authenticated_server.url),
        "inspect": ("inspect", "--url", authenticated_server.url),
    }[command]
    ended = run(*arguments, *token)
    assert ended.returncode == 1, ended.stderr
    assert ADVICE in ended.stderr
    assert ("403" if how == "without the role" else "401") in ended.stderr or "unauthorized" in ended.stderr
    assert ended.stderr.count(ADVICE) == 1
    if command in ("read", "inspect"):
        assert "Authorization: " not in ended.stderr
