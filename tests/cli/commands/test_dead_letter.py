"""`forebay dead-letter`, against a real server."""

from __future__ import annotations

import json

import pytest

from forebay.cli.wording import SHOWN_CHARACTERS
from support.harness import RunningServer, run, wait_for
from support.processors import SOURCE, TIMED, create_source, publish

pytestmark = pytest.mark.slow

ODD = "\x1b[2J" + "x" * 2 * SHOWN_CHARACTERS
FIRST = {"key": "k\n0", "timestamp": "2025-01-15T10:00:00Z", "value": {"n": 0, "large": 10**40}}
OTHERS = [{"value": {"n": number, "text": ODD}} for number in range(1, 4)]


@pytest.fixture(scope="module")
def running(authenticated_server: RunningServer) -> RunningServer:
    create_source(authenticated_server)
    authenticated_server.post("/api/v1/processors", TIMED).raise_for_status()
    return authenticated_server


@pytest.fixture
def environment(running: RunningServer) -> dict[str, str]:
    return {"FOREBAY_URL": running.url, "FOREBAY_TOKEN": running.first_token()}


def waiting(running: RunningServer, count: int) -> None:
    def are_there() -> bool:
        with running.client() as client:
            shown = client.get("/api/v1/processors/timed/dead-letters").raise_for_status().json()
        return bool((shown["waiting"], shown["replaying"]) == (count, 0))

    wait_for(f"{count} dead letters", are_there)


def done(*arguments: object, **environment: str) -> tuple[str, str]:
    """Standard output and error."""
    ended = run("dead-letter", *arguments, **environment)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


def test_they_are_listed_replayed_and_dropped(running: RunningServer, environment: dict[str, str]) -> None:
    assert done("list", "timed", **environment) == (
        "",
        "forebay: timed.dead-letter: 0 dead letters, 0 being replayed; 0 listed\n",
    )
    publish(running, FIRST, *OTHERS)
    waiting(running, 4)
    shown, said = done("list", "timed", "--limit", 2, **environment)
    assert said == "forebay: timed.dead-letter: 4 dead letters, 0 being replayed; 2 listed; offset 2 is the next\n"
    heads, places, values = shown.splitlines()[::3], shown.splitlines()[1::3], shown.splitlines()[2::3]
    assert heads[0].startswith("offset 0, 20")
    assert ": timestampField: the value has no time there" in heads[0]
    assert places == [f"  {SOURCE}, partition 0, offset 0, key k\\n0", f"  {SOURCE}, partition 0, offset 1"]
    assert values[0] == f'  {{"n":0,"large":{10**40}}}'
    assert values[1].startswith('  {"n":1,"text":"\\u001b[2Jxxx')
    assert len(values[1]) == 2 + SHOWN_CHARACTERS + 1

    whole = json.loads(done("list", "timed", "--json", **environment)[0])
    assert (whole["waiting"], whole["nextOffset"]) == (4, None)
    assert [letter["offset"] for letter in whole["deadLetters"]] == [0, 1, 2, 3]
    assert whole["deadLetters"][0]["value"] == FIRST["value"]
    assert whole["deadLetters"][1]["value"]["text"] == ODD

    assert done("replay", "timed", "--through", 1, **environment) == ("replaying 2 dead letters of timed\n", "")
    waiting(running, 4)
    assert done("drop", "timed", "--through", 2, **environment) == ("dropped 1 dead letter of timed\n", "")
    left = json.loads(done("list", "timed", "--json", **environment)[0])["deadLetters"]
    assert [letter["value"]["n"] for letter in left] == [3, 0, 1]
    assert done("drop", "timed", **environment) == ("dropped 3 dead letters of timed\n", "")
    assert done("replay", "timed", **environment) == ("replaying 0 dead letters of timed\n", "")


def test_a_list_may_be_longer_than_one_answer(running: RunningServer, environment: dict[str, str]) -> None:
    publish(running, *({"value": {"n": number}} for number in range(1_200)))
    waiting(running, 1_200)
    for limit, count in ((1_100, 1_100), (5_000, 1_200)):
        whole = json.loads(done("list", "timed", "--json", "--limit", limit, **environment)[0])
        assert [letter["value"]["n"] for letter in whole["deadLetters"]] == list(range(count))
        assert (whole["nextOffset"] is None) == (count == 1_200)
    assert done("drop", "timed", **environment)[0] == "dropped 1,200 dead letters of timed\n"


def test_what_the_server_refuses_is_one_line(running: RunningServer, environment: dict[str, str]) -> None:
    running.post("/api/v1/processors/timed/pause", {}).raise_for_status()
    for arguments, message in (
        (("list", "no thing"), "forebay: processor_not_found: there is no processor"),
        (("replay", "nothing"), "forebay: processor_not_found: there is no processor"),
        (("drop", "nothing"), "forebay: processor_not_found: there is no processor"),
        (("replay", "timed"), 'forebay: conflict: the processor "timed" does not run: it is paused; resume it first'),
        (("drop", "timed", "--through", 1 << 63), "forebay: invalid_request: through is "),
        (("list", "timed", "--token", "wrong"), "unauthorized: the token is unknown; give a token with the role read"),
        (("drop", "timed", "--token", "wrong"), "unauthorized: the token is unknown; give a token with the role ops"),
    ):
        ended = run("dead-letter", *arguments, **environment)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert message in ended.stderr
        assert ended.stderr.count("\n") == 1
    running.post("/api/v1/processors/timed/resume", {}).raise_for_status()


def test_names_are_completed(environment: dict[str, str]) -> None:
    words = {"_FOREBAY_COMPLETE": "bash_complete", "COMP_WORDS": "forebay dead-letter list ti", "COMP_CWORD": "3"}
    assert run(**words, **environment).stdout == "plain,timed\n"
    assert run(**words, FOREBAY_URL="http://127.0.0.1:1").stdout.strip() == ""
