"""Every command fails in one way: one line on standard error that begins with `forebay: `, and a status of the table in
docs/operations.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forebay.cli import exit_status
from forebay.cli.main import COMMANDS
from support.harness import run

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:1"

FAILURES = [
    (("nothing",), 2, "no such command 'nothing'; see 'forebay --help'"),
    (("read",), 2, "missing argument 'STREAM'; see 'forebay read --help'"),
    (("read", "logs", "--from", "x"), 2, "invalid value for '--from': 'x' is neither 'earliest' nor an offset; see "),
    (("read", "logs", "--nothing"), 2, "--nothing"),
    (("read", "logs", "--url", NOWHERE), 1, f"cannot reach {NOWHERE}: "),
    (("read", "logs", "--data-dir", "missing"), 2, "there is no data directory 'missing'; see 'forebay read --help'"),
    (("inspect", "--data-dir", "missing"), 2, "there is no data directory 'missing'; see 'forebay inspect --help'"),
    (
        ("inspect", "--url", "ftp://x"),
        2,
        "--url is 'ftp://x', which is not http://host:port; see 'forebay inspect --help'",
    ),
    (
        ("verify", "--data-dir", "missing"),
        2,
        "forebay: there is no data directory 'missing'; see 'forebay verify --help'",
    ),
    (
        ("repair", "--data-dir", "missing"),
        2,
        "forebay: there is no data directory 'missing'; see 'forebay repair --help'",
    ),
    (
        ("token", "list", "--data-dir", "missing"),
        2,
        "there is no data directory 'missing'; see 'forebay token list --help'",
    ),
    (("token", "create", "--name", "a", "--role", "none"), 2, "invalid value for '--role': "),
    (
        ("jobs", "list", "--status", "failed"),
        2,
        "--status and --offset go with a queue; see 'forebay jobs list --help'",
    ),
    (("jobs", "pause", "q", "--url", NOWHERE), 1, f"cannot reach {NOWHERE}: "),
    (
        ("processors", "create", "missing.json"),
        2,
        "invalid value for 'FILE': 'missing.json': No such file or directory; see ",
    ),
    (("processors", "list", "--url", NOWHERE), 1, f"cannot reach {NOWHERE}: "),
    (("processors", "pause", "p", "--url", "ftp://x"), 2, "--url is 'ftp://x', which is not http://host:port; see "),
    (("dead-letter", "list", "p", "--url", NOWHERE), 1, f"cannot reach {NOWHERE}: "),
    (("dead-letter", "list", "p", "--limit", "0"), 2, "invalid value for '--limit': 0 is not in the range x>=1; see "),
    (("dead-letter", "replay", "p", "--through", "x"), 2, "invalid value for '--through': 'x' is not a valid integer"),
    (("dead-letter", "drop"), 2, "missing argument 'NAME'; see 'forebay dead-letter drop --help'"),
    (("export", "x", "-o", "x.csv", "--url", NOWHERE), 1, f"cannot reach {NOWHERE}: "),
    (("export", "x"), 2, "missing option '--output' / '-o'"),
    (
        ("export", "x", "-o", "x.csv", "--resume", "i"),
        2,
        "give --resume or these, not both; see 'forebay export --help'",
    ),
    (("search", "x", "--url", NOWHERE), 1, f"cannot reach {NOWHERE}: "),
    (("search", "--since", "soon"), 2, "invalid value for '--since': 'soon' is neither a time like "),
    (("search", "--data-dir", "missing"), 2, "there is no data directory 'missing'; see 'forebay search --help'"),
    (("send", "missing.ndjson"), 2, "cannot read missing.ndjson: "),
    (("bench", NOWHERE, "--duration", "0.1"), 1, "no connection to 127.0.0.1:1"),
    (("bench", "https://127.0.0.1:1"), 2, "must begin with http://"),
    (("torture", "--dir", "/dev/null"), 2, "--dir"),
    (("serve", "--port", "70000"), 2, "port from the command line is 70000, outside of 0 to 65,535"),
    (("serve", "--durability", "none"), 2, "'none' is not one of 'fsync', 'interval', 'memory'"),
    (("serve", "--log-level", "loud"), 2, "'loud' is not one of 'debug', 'info', 'warning', 'error'"),
    (("serve", "--config", "missing.toml"), 2, "cannot read missing.toml: "),
    (("cache", "--no-auth"), 2, "missing option '--cache'"),
    (
        ("cache", "--cache", "redis://x", "--cache-prefix", "{}", "--no-auth"),
        2,
        "cache_prefix is '{}'; use 1 to 64 of ",
    ),
    (("cache", "--cache", "http://x", "--no-auth"), 2, "cache is 'http://x', which is not like redis://host:6379/0"),
    (("cache", "--cache", "redis://x"), 2, "say who may read the views: --tokens with the directory that has "),
    (("cache", "--cache", "redis://x", "--tokens", "missing"), 2, "the tokens cannot be read, so nobody could be let "),
    (("cache", "--cache", "redis://x", "--no-auth", "--host", "0.0.0.0"), 2, "listening on 0.0.0.0 lets anybody on "),
]


@pytest.mark.parametrize(("arguments", "status", "message"), FAILURES, ids=lambda value: str(value)[:40])
def test_a_failure_is_one_line_and_a_status(arguments: tuple[str, ...], status: int, message: str) -> None:
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (status, ""), ended.stderr
    assert ended.stderr.startswith("forebay: "), ended.stderr
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr


def test_a_group_without_a_command_shows_its_help() -> None:
    for arguments in ((), ("token",), ("processors",), ("dead-letter",)):
        ended = run(*arguments)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "Commands:" in ended.stderr


def test_help_calls_it_by_its_name() -> None:
    assert run("read", "--help").stdout.startswith("Usage: forebay read [OPTIONS] STREAM\n")


def rows() -> dict[str, str]:
    text = (ROOT / "docs/operations.md").read_text()
    found = re.findall(r"^\| `forebay ([\w-]+)[^|]*\| [^|]* \| ([^|]*) \|$", text, re.MULTILINE)
    return dict(found)


def test_the_table_of_the_tools_has_every_command_with_its_statuses() -> None:
    assert set(rows()) == set(COMMANDS)
    known = {str(value) for name, value in vars(exit_status).items() if name.isupper()}
    for command, statuses in rows().items():
        named = set(re.findall(r"\b\d+\b", statuses))
        assert {"0", "1", "2"} <= named <= known, command
