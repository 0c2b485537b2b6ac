"""`forebay search`, on a running server and on the directory of a stopped one."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import forebay
from forebay.cli.search.places import parameters
from forebay.embedded.conditions import Conditions, conditions_of
from support.harness import RunningServer, batch, event, run, serving
from support.terminal import Terminal

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC).replace(microsecond=0)
COUNT = 120


def at(minutes: float) -> str:
    return (NOW - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


ODD = "odd \x1b[2J line\nbreak"
EVENTS = [
    event("Payment failed: timeout", "shop", timestamp=at(5), level="error", service="api", metadata={"status": 502}),
    event("Payment accepted", "shop", timestamp=at(90), level="info", service="api", metadata={"status": 200}),
    event(ODD, "other", timestamp=at(100), level="warn", service="db", metadata={"a": [1, {"b": None}], "user_id": 7}),
    *(event(f"number {n}", "many", timestamp=at(1000 + n), service="jobs", metadata={"n": n}) for n in range(COUNT)),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("search") / "data") as opened:
        opened.drain(batch(*EVENTS)).raise_for_status()
        yield opened


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stopped") / "data"
    with forebay.open(path) as log:
        log.append("logs", EVENTS)
    return path


@pytest.fixture(params=["server", "directory"])
def place(request: pytest.FixtureRequest) -> tuple[object, ...]:
    if request.param == "server":
        return "--url", request.getfixturevalue("running").url
    return "--data-dir", request.getfixturevalue("directory")


def printed(*arguments: object) -> str:
    ended = run("search", *arguments)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout


def messages(*arguments: object) -> list[str]:
    return [json.loads(line)["message"] for line in printed(*arguments).splitlines()]


def test_each_filter_in_both_places(place: tuple[object, ...]) -> None:
    first, second, third = (str(each["message"]) for each in EVENTS[:3])
    for arguments, expected in (
        (("payment",), [first, second]),
        (("payment", "timeout"), [first]),
        (("payment -timeout",), [second]),
        (("--", "payment", "-timeout"), [second]),
        (('"payment failed"',), [first]),
        (("/fail|accept/",), [first, second]),
        (("--level", "ERROR"), [first]),
        (("--level", "warning"), [third]),
        (("--service", "db"), [third]),
        (("--project", "shop"), [first, second]),
        (("--user-id", "7"), [third]),
        (("--request-id", "7"), []),
        (("--since", "1h"), [first]),
        (("--since", "2h", "--until", "30m"), [second, third]),
        (("--since", at(91), "--until", at(90)), [second]),
        (("--where", "status>=500"), [first]),
        (("--where", "status>199", "--where", "metadata.status<=200"), [second]),
        (("--where", "status=200"), [second]),
        (("--limit", "2"), [first, second]),
    ):
        assert messages(*place, *arguments) == expected, arguments


def test_a_line_is_the_entry_as_the_server_has_it(place: tuple[object, ...]) -> None:
    [line] = printed(*place, "--project", "other").splitlines()
    found = json.loads(line)
    assert found.pop("id").startswith("evt_")
    assert found == {
        "timestamp": at(100).replace("Z", ".000Z"),
        "level": "warn",
        "service": "db",
        "message": ODD,
        "request_id": None,
        "user_id": "7",
        "project_id": "other",
        "metadata": EVENTS[2]["metadata"],
    }


def test_fifty_or_all(place: tuple[object, ...]) -> None:
    numbers = [f"number {n}" for n in range(COUNT)]
    assert messages(*place, "number") == numbers[:50]
    assert messages(*place, "number", "--limit", 101) == numbers[:101]
    assert messages(*place, "number", "--all") == numbers


def test_counts(place: tuple[object, ...]) -> None:
    assert printed(*place, "--count") == f"{len(EVENTS)}\n"
    assert printed(*place, "--count", "payment") == "2\n"
    levels = [json.loads(line) for line in printed(*place, "--by", "level").splitlines()]
    assert levels == [
        {"value": "info", "count": COUNT + 1},
        {"value": "error", "count": 1},
        {"value": "warn", "count": 1},
    ]
    times = [json.loads(line) for line in printed(*place, "--by", "time", "--since", "2h").splitlines()]
    assert list(times[0]) == ["start", "count"]
    assert sum(each["count"] for each in times) == 3


USAGE = [
    (("--count", "--by", "level"), "give --count or --by, not both"),
    (("--count", "--follow"), "give --count or --follow, not both"),
    (("--limit", "3", "--all"), "give --limit or --all, not both"),
    (("--count", "--limit", "3"), "give --count or --limit, not both"),
    (("--follow", "--all"), "give --follow or --all, not both"),
    (("--follow", "--until", "1h"), "give --follow or --until, not both"),
    (("--since", "soon"), "'soon' is neither a time like 2025-12-04T12:15:30Z nor an age like 30s"),
    (("--since", "999999999w"), "is neither a time"),
    (("--where", "status"), "'status' is no condition on metadata"),
    (("--by", "host"), "invalid value for '--by'"),
    (("--follow",), "--follow needs a running server: give --url"),
]


@pytest.mark.parametrize(("arguments", "why"), USAGE, ids=[" ".join(arguments) for arguments, _ in USAGE])
def test_wrong_usage(directory: Path, arguments: tuple[str, ...], why: str) -> None:
    ended = run("search", "--data-dir", directory, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert why in ended.stderr


def test_what_the_engine_refuses_is_said(place: tuple[object, ...]) -> None:
    ended = run("search", *place, '"open')
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("forebay: invalid_request: query: the term at byte 0: the phrase does not end")


def test_who_may_not_is_told_which_role(server: Callable[..., RunningServer]) -> None:
    ended = run("search", "--url", server(auth=True).url)
    assert ended.returncode == 1
    assert "give a token with the role ops by --token or FOREBAY_TOKEN" in ended.stderr


def terminal(tmp_path: Path, *arguments: object, **environment: str) -> Terminal:
    return Terminal([sys.executable, "-m", "forebay", "search", *arguments], tmp_path, environment)


def test_on_a_terminal(tmp_path: Path, directory: Path) -> None:
    shown = {}
    for name, environment in (("colours", {}), ("plain", {"NO_COLOR": "1"}), ("dumb", {"TERM": "dumb"})):
        with closing(terminal(tmp_path, "--data-dir", directory, "payment", "--limit", 1, **environment)) as opened:
            assert opened.ended() == 0
            shown[name] = opened.shown
            line = at(5).replace("T", " ").replace("Z", ".000") + " error   api Payment failed: timeout\n"
            assert opened.text() == line
    assert b"\x1b[31merror" in shown["colours"]
    assert b"\x1b[1m\x1b[4mPayment\x1b[0m failed" in shown["colours"]
    assert b"\x1b" not in shown["plain"] + shown["dumb"]
    with closing(terminal(tmp_path, "--data-dir", directory, "odd")) as opened:
        assert opened.ended() == 0
        assert "db odd \\x1b[2J line\\nbreak\n" in opened.text()
    with closing(terminal(tmp_path, "--data-dir", directory, "--by", "service")) as opened:
        assert opened.ended() == 0
        assert opened.text() == "120  jobs\n  2  api\n  1  db\n"
    with closing(terminal(tmp_path, "--data-dir", directory, "odd", "--json")) as opened:
        assert opened.ended() == 0
        assert json.loads(opened.text())["message"] == ODD


def test_follow_shows_each_once(running: RunningServer, tmp_path: Path) -> None:
    """Events of any time, while it begins and later."""
    with closing(terminal(tmp_path, "--url", running.url, "--project", "followed", "-f", "--limit", 3)) as opened:
        for sent in range(30):
            running.drain(batch(event(f"<{sent}>", "followed", timestamp=at(sent * 7 % 50)))).raise_for_status()
        opened.wait_for(b"<29>")
        running.drain(batch(event("<last>", "followed", timestamp=at(600)))).raise_for_status()
        opened.wait_for(b"<last>")
        os.killpg(opened.process.pid, signal.SIGINT)
        assert opened.ended() == 130
        numbers = [line.rpartition(" ")[2] for line in opened.text().splitlines() if "<" in line]
    assert len(numbers) == len(set(numbers))
    # What was sent before it began may be left out, beyond the newest three.
    assert numbers[-1] == "<last>"
    assert "<29>" in numbers


def test_completion() -> None:
    ended = run(_FOREBAY_COMPLETE="bash_complete", COMP_WORDS="forebay search --level w", COMP_CWORD="3")
    assert "warning" in ended.stdout
    ended = run(_FOREBAY_COMPLETE="bash_complete", COMP_WORDS="forebay sea", COMP_CWORD="1")
    assert "search" in ended.stdout


def test_conditions_become_parameters_that_mean_the_same() -> None:
    conditions = Conditions(query="a b", start_time=1_500, metadata=conditions_of(["x=a=b", "x>1", "x>1", "y.z<=2"]))
    assert parameters(conditions) == [
        ("query", "a b"),
        ("start_time", "1970-01-01T00:00:00.001500Z"),
        ("metadata.x", "a=b"),
        ("metadata.x>1", ""),
        ("metadata.y.z<=", "2"),
    ]
