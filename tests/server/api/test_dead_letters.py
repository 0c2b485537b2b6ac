"""`/api/v1/processors/{id}/dead-letters`: the routes, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.processors.shapes import DeadLetter, DeadLetters, DroppedDeadLetters, ProcessorDescription, Replay
from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, serving, wait_for
from support.processors import SOURCE, TIMED, check, create_source, publish, refused, results

pytestmark = pytest.mark.slow

PROCESSORS = "/api/v1/processors"
LETTERS = f"{PROCESSORS}/timed/dead-letters"

MODULE = """
import os
import forebay

@forebay.function("price")
def price(orders):
    if os.path.exists("mended"):
        return [order.get("amount", 0) for order in orders]
    return [order["amount"] for order in orders]
"""


@pytest.fixture(scope="module")
def server(shared_server: RunningServer) -> RunningServer:
    create_source(shared_server)
    return shared_server


@pytest.fixture
def _processor(server: RunningServer) -> Iterator[None]:
    server.post(PROCESSORS, TIMED).raise_for_status()
    yield
    with server.client() as client:
        client.delete(f"{PROCESSORS}/timed").raise_for_status()


def failing(*numbers: int) -> list[dict[str, Any]]:
    return [
        {"key": f"k{number}", "timestamp": f"2025-01-15T10:00:0{number}Z", "value": {"n": number}} for number in numbers
    ]


def listed(server: RunningServer, count: int, name: str = "timed", **parameters: int) -> dict[str, Any]:
    """Once `count` wait."""
    shown: dict[str, Any] = {}

    def are_there() -> bool:
        with server.client() as client:
            answer = client.get(f"{PROCESSORS}/{name}/dead-letters", params=parameters)
        shown.update(answer.raise_for_status().json())
        return bool(shown["waiting"] == count and shown["replaying"] == 0)

    wait_for(f"{count} dead letters", are_there)
    return shown


def numbers(shown: dict[str, Any]) -> list[int]:
    return [letter["value"]["n"] for letter in shown["deadLetters"]]


@pytest.mark.usefixtures("_processor")
def test_they_are_listed_replayed_and_dropped(server: RunningServer) -> None:
    with server.client() as client:
        none = client.get(LETTERS).json()
        check(DeadLetters, none)
        assert (none["waiting"], none["deadLetters"], none["nextOffset"]) == (0, [], None)
        publish(server, *failing(0, 1, 2))
        shown = listed(server, 3)
        check(DeadLetters, shown)
        assert (shown["stream"], numbers(shown), shown["nextOffset"]) == ("timed.dead-letter", [0, 1, 2], None)
        first = shown["deadLetters"][0]
        check(DeadLetter, first)
        assert first["error"].startswith("the value has no time there")
        assert first | {"error": "", "failedAt": ""} == {
            "offset": 0,
            "failedAt": "",
            "error": "",
            "operation": "timestampField",
            "source": SOURCE,
            "sourcePartition": 0,
            "sourceOffset": 0,
            "timestamp": "2025-01-15T10:00:00.000Z",
            "key": "k0",
            "value": {"n": 0},
        }
        page = listed(server, 3, limit=2)
        assert (numbers(page), page["nextOffset"]) == ([0, 1], 2)
        assert numbers(listed(server, 3, limit=2, offset=2)) == [2]
        assert numbers(listed(server, 3, offset=9)) == []

        identity = client.get(f"{PROCESSORS}/timed").json()["processorId"]
        replayed = client.post(f"{PROCESSORS}/{identity}/dead-letters/replay", params={"through": 1})
        assert replayed.status_code == 202
        check(Replay, replayed.json())
        assert replayed.json() == {"replaying": 2}
        # They fail again, and are behind the one that was not tried.
        wait_for("them", lambda: numbers(listed(server, 3)) == [2, 0, 1])

        dropped = client.delete(LETTERS, params={"through": 2})
        assert dropped.status_code == 200
        check(DroppedDeadLetters, dropped.json())
        assert dropped.json() == {"dropped": 1}
        assert numbers(listed(server, 2)) == [0, 1]
        assert client.delete(LETTERS).json() == {"dropped": 2}
        assert client.delete(LETTERS).json() == {"dropped": 0}
        assert client.post(f"{LETTERS}/replay").json() == {"replaying": 0}
        assert listed(server, 0)["deadLetters"] == []
        assert len(server.stored("timed.dead-letter")) == 5


@pytest.mark.usefixtures("_processor")
def test_what_cannot_be_is_refused(server: RunningServer) -> None:
    with server.client() as client:
        for method, path in (("GET", ""), ("POST", "/replay"), ("DELETE", "")):
            missing = client.request(method, f"{PROCESSORS}/nothing/dead-letters{path}")
            assert refused(missing)[:2] == (404, 1025)
        for query in ("limit=0", "limit=1001", "limit=x", "offset=-1", "through=1"):
            assert refused(client.get(f"{LETTERS}?{query}"))[:2] == (400, 1008), query
        for through in ("-1", "x", str(1 << 63)):
            assert refused(client.post(f"{LETTERS}/replay", params={"through": through}))[:2] == (400, 1008)
            assert refused(client.delete(LETTERS, params={"through": through}))[:2] == (400, 1008)
        client.post(f"{PROCESSORS}/timed/pause").raise_for_status()
        assert refused(client.post(f"{LETTERS}/replay")) == (
            409,
            1022,
            'the processor "timed" does not run: it is paused; resume it first',
        )
        assert client.get(LETTERS).status_code == client.delete(LETTERS).status_code == 200


def test_roles_and_projects(authenticated_server: RunningServer) -> None:
    guarded = authenticated_server
    create_source(guarded)
    guarded.post(PROCESSORS, TIMED).raise_for_status()
    publish(guarded, *failing(0))
    listed(guarded, 1)
    store = TokenStore(guarded.data_dir)
    tokens = {
        "reader": store.create("reader", ["read"]),
        "limited": store.create("limited", ["ops", "read"], ["org-xyz"]),
        "sender": store.create("sender", ["ingest"]),
    }
    headers = {name: {"authorization": f"Bearer {secret}"} for name, secret in tokens.items()}
    with guarded.client() as client:
        wait_for("the tokens", lambda: client.get(LETTERS, headers=headers["sender"]).status_code == 403)
        for who in ("reader", "limited"):
            assert client.get(LETTERS, headers=headers[who]).json()["waiting"] == 1
        for who, sent in headers.items():
            assert client.post(f"{LETTERS}/replay", headers=sent).status_code == 403, who
            assert client.delete(LETTERS, headers=sent).status_code == 403, who
        assert client.delete(LETTERS, headers={"authorization": "Bearer no"}).status_code == 401
        assert [letter["offset"] for letter in listed(guarded, 1)["deadLetters"]] == [0]


def test_a_function_that_was_mended_gets_them_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    definition = TIMED | {"operations": [{"type": "map", "function": "price"}], "config": {}}
    with serving(tmp_path / "data", functions=["mine"], function_workers=1) as running, running.client() as client:
        create_source(running)
        running.post(PROCESSORS, definition).raise_for_status()
        publish(running, {"value": {"amount": 5}}, {"value": {"id": 7}})
        assert results(running, "copies", 1) == [(None, 5)]
        [letter] = listed(running, 1)["deadLetters"]
        assert (letter["error"], letter["operation"]) == ("KeyError: 'amount'", "operations[0]")
        described = client.get(f"{PROCESSORS}/timed").json()
        check(ProcessorDescription, described)
        assert described["degraded"] == "operations[0]: KeyError: 'amount'"
        assert client.get(f"{PROCESSORS}/timed/metrics").json()["degraded"] == described["degraded"]
        (tmp_path / "mended").touch()
        assert client.post(f"{LETTERS}/replay").json() == {"replaying": 1}
        assert results(running, "copies", 2) == [(None, 5), (None, 0)]
        assert listed(running, 0)["deadLetters"] == []
        assert len(running.stored(SOURCE)) == 2, "nothing comes back onto the source"
