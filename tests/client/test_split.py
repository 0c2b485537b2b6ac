"""A batch that is refused throughout costs few requests, and its good neighbours arrive."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from client.proxy import Answer, Request, Scripted, accepted, scripted
from forebay.client import Client, Rejection
from forebay.client.client import BATCH_EVENTS
from forebay.client.results import BatchResult, split
from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, wait_for

MINE = "org-xyz"
ALIEN = "events[{index}]: the token may not write this project"


def limited(request: Request) -> Answer:
    """Answers as a server does to a token that is limited to a project."""
    for index, event in enumerate(json.loads(request.body)["events"]):
        if event["project_id"] != MINE:
            return Answer(403, json.dumps({"error": ALIEN.format(index=index), "code": "forbidden"}).encode())
    return accepted(request)


def stored(server: Scripted) -> list[str]:
    events = [event for request in server.seen for event in json.loads(request.body)["events"]]
    taken = [request for request in server.seen if limited(request).status == 202]
    assert len({request.key for request in taken}) == len(taken)
    assert events
    return [event["message"] for request in taken for event in json.loads(request.body)["events"]]


@pytest.mark.parametrize("spooled", [False, True])
def test_events_of_a_project_that_may_not_be_written_cost_one_request(tmp_path: Path, spooled: bool) -> None:
    told: list[Rejection] = []
    options = {"spool": tmp_path} if spooled else {}
    with (
        scripted(limited) as server,
        Client(server.url, on_rejected=told.append, linger_seconds=10, connections=1, **options) as client,  # type: ignore[arg-type]
    ):
        client.log_many(map(str, range(2 * BATCH_EVENTS)))
        assert client.flush() == 0
        assert (client.stats().rejected, client.stats().delivered) == (2 * BATCH_EVENTS, 0)
        assert len(server.seen) == 2
    assert [json.loads(row.event or b"")["message"] for row in told] == [str(n) for n in range(2 * BATCH_EVENTS)]
    assert {row.reason for row in told} == {"403: the token may not write this project"}


@pytest.mark.parametrize(
    ("projects", "requests"),
    [
        ([MINE] * 200 + ["a"] * 100 + [MINE] * 100 + ["b"] * 100, 5),
        (["a", "b", "c"] + [MINE] * 400, 4),
        (["a"] * 250 + ["b"] * 250, 2),
        ([MINE, "a"] * 10, 11),
    ],
)
def test_good_neighbours_arrive_once(projects: list[str], requests: int) -> None:
    told: list[Rejection] = []
    with (
        scripted(limited) as server,
        Client(server.url, on_rejected=told.append, linger_seconds=10, connections=1) as client,
    ):
        client.log_many([{"message": str(number), "project_id": name} for number, name in enumerate(projects)])
        assert client.flush() == 0
        good = [str(number) for number, name in enumerate(projects) if name == MINE]
        assert sorted(stored(server)) == sorted(good)
        assert (client.stats().delivered, client.stats().rejected) == (len(good), len(projects) - len(good))
        assert len(server.seen) <= requests
    names = Counter(json.loads(row.event or b"")["project_id"] for row in told)
    assert names == Counter(name for name in projects if name != MINE)


def test_a_token_that_is_limited_to_projects(server: Callable[..., RunningServer]) -> None:
    """To a real server: other projects are refused at once, and so is what has no project."""
    running = server(auth=True)
    secret = TokenStore(running.data_dir).create("shop", ["ingest"], [MINE])
    with running.client() as http:
        headers = {"authorization": secret}
        wait_for("the token", lambda: http.post("/v1/drain", content=b"", headers=headers).status_code != 401)
    told: list[Rejection] = []
    with Client(running.url, secret, on_rejected=told.append, linger_seconds=10, connections=1) as client:
        client.log_many([{"message": str(n), "project_id": MINE if n % 100 else "other"} for n in range(BATCH_EVENTS)])
        client.event("purchase", "web_app", {})
        client.track("view")
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().rejected) == (BATCH_EVENTS - 5, 7)
    assert {row.lane for row in told} == {"drain", "events", "track"}
    assert all(row.reason.startswith("403: the token ") for row in told)


def test_bad_analytics_events_cost_one_request(shared_server: RunningServer) -> None:
    told: list[Rejection] = []
    with Client(shared_server.url, on_rejected=told.append, linger_seconds=10, connections=1) as client:
        for number in range(300):
            client.track("view" if number % 3 == 0 else "", user=f"cost-{number}")
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().rejected, client.stats().batches) == (100, 200, 1)
    assert [json.loads(row.event or b"")["user"]["id"] for row in told] == [f"cost-{n}" for n in range(300) if n % 3]
    assert all("must not be empty" in row.reason for row in told)


def test_where_a_part_is_split() -> None:
    events = [json.dumps({"project_id": name}).encode() for name in "abba"]
    forbidden = BatchResult(status=403, reason="x", index=1)
    assert split(forbidden, events).refused == [(1, 3)]
    assert set(split(forbidden, events).cuts) - {0, 4} == {1, 3}
    # Events without a project are asked about alone.
    others = [b"{}"] * 4
    assert (split(forbidden, others).cuts, split(forbidden, others).refused) == ({1, 2}, [])
    assert split(BatchResult(status=400, reason="x", index=2), events).cuts == {2, 3}
    assert split(BatchResult(status=413, reason="x"), events).cuts == {2}
