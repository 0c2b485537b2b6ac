"""`forebay processors`, against a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.harness import RunningServer, run
from support.processors import ALERTS, EVENTS, FRAUD, create_source, processed, publish

pytestmark = pytest.mark.slow

TABLE = """
name = "fraud-detection"
source = "transactions"
sink = "fraud-alerts"
operations = [
    { type = "filter", predicate = "value.amount > 1000" },
    { type = "window", windowType = "tumbling", duration = 300_000 },
    { type = "aggregate", aggregation = "count", groupBy = "userId" },
]
config = { parallelism = 4, checkpointInterval = 60_000 }
"""


@pytest.fixture(scope="module")
def running(authenticated_server: RunningServer) -> RunningServer:
    create_source(authenticated_server)
    publish(authenticated_server, *EVENTS)
    return authenticated_server


@pytest.fixture
def environment(running: RunningServer) -> dict[str, str]:
    return {"FOREBAY_URL": running.url, "FOREBAY_TOKEN": running.first_token()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fraud.json"
    path.write_text(json.dumps(FRAUD))
    return path


def done(*arguments: object, text: str = "", **environment: str) -> str:
    ended = run("processors", *arguments, text=text, **environment)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout


def test_the_life_of_a_processor(running: RunningServer, environment: dict[str, str], file: Path) -> None:
    assert done("list", **environment) == ""
    made = done("create", file, **environment)
    assert made.startswith("created fraud-detection, id proc_")
    assert made.endswith(": running\n")
    identity = made.split()[3].rstrip(":")
    publish(running, *EVENTS)
    processed(running, "fraud-detection", len(EVENTS))
    assert done("list", **environment) == (
        f"fraud-detection: running; 6 records processed, 0 waiting; id {identity}\n"
        "  transactions | filter value.amount > 1000 | tumbling 5 min | count by userId | fraud-alerts\n"
    )
    [listed] = json.loads(done("list", "--json", **environment))["processors"]
    assert listed["processorId"] == identity
    assert done("pause", "fraud-detection", **environment) == "paused fraud-detection\n"
    assert "fraud-detection: paused;" in done("list", **environment)
    assert done("resume", identity, **environment) == f"resumed {identity}\n"
    assert done("delete", "fraud-detection", **environment) == "deleted fraud-detection\n"
    assert done("list", **environment) == ""


def test_one_takes_the_place_of_another(environment: dict[str, str], file: Path, tmp_path: Path) -> None:
    identity = done("create", file, **environment).split()[3].rstrip(":")
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**FRAUD, "name": "frauds"}).replace("300000", "60000"))
    differs = run("processors", "create", other, "--from", "fraud-detection", **environment)
    assert differs.returncode == 1
    assert "the windows, aggregations or groups differ" in differs.stderr
    made = done("create", other, "--from", identity, "--discard", **environment)
    assert made == f"created frauds, id {identity}: running\n"
    alone = run("processors", "create", other, "--discard", **environment)
    assert alone.returncode == 2
    assert "--discard goes with --from" in alone.stderr
    broken = run("processors", "create", "-", "--from", "frauds", text="{", **environment)
    assert broken.returncode == 2
    done("delete", "frauds", **environment)


def test_a_definition_may_be_toml_and_come_from_a_pipe(environment: dict[str, str]) -> None:
    assert done("create", "-", text=TABLE, **environment).startswith("created fraud-detection, ")
    done("delete", "fraud-detection", **environment)
    assert done("create", "-", text=json.dumps(FRAUD), **environment).startswith("created fraud-detection, ")
    done("delete", "fraud-detection", **environment)


def test_a_preview_is_lines_of_results(environment: dict[str, str], file: Path) -> None:
    ended = run("processors", "preview", file, "--records", len(EVENTS), **environment)
    assert ended.returncode == 0, ended.stderr
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    # Whether there are records before those that were read depends on the other tests.
    found = [
        (row["key"], {name: value for name, value in row["value"].items() if name != "incomplete"}) for row in rows
    ]
    assert found[:2] == ALERTS
    first, second = ended.stderr.splitlines()
    assert first == "forebay: 6 records read, 4 matched, 0 late; 3 results"
    assert second.startswith("forebay: operations[0]: 1 record failed: ")
    assert done("list", **environment) == ""


def test_what_the_server_refuses_is_one_line(environment: dict[str, str], file: Path) -> None:
    for arguments, message in (
        (("pause", "nothing"), "forebay: processor_not_found: there is no processor"),
        (("delete", "no thing"), "forebay: processor_not_found: there is no processor"),
        (("create", "-"), "forebay: malformed_request: source: is missing"),
        (
            ("list", "--token", "wrong"),
            "forebay: unauthorized: the token is unknown; give a token with the role read by",
        ),
        (("create", file, "--token", "wrong"), "unauthorized: the token is unknown; give a token with the role ops by"),
    ):
        ended = run("processors", *arguments, text='name = "p"', **environment)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert message in ended.stderr
        assert ended.stderr.count("\n") == 1
    wrong = run("processors", "create", "-", text="name = ", **environment)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("forebay: <stdin> is neither JSON nor TOML: ")


def test_names_are_completed(environment: dict[str, str], file: Path) -> None:
    done("create", file, **environment)
    words = {"_FOREBAY_COMPLETE": "bash_complete", "COMP_WORDS": "forebay processors pause fr", "COMP_CWORD": "3"}
    assert run(**words, **environment).stdout == "plain,fraud-detection\n"
    assert run(**words, FOREBAY_URL="http://127.0.0.1:1").stdout.strip() == ""
    assert run(**words, FOREBAY_URL="nothing").stdout.strip() == ""
    done("delete", "fraud-detection", **environment)
