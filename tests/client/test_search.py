"""`client.search`, on a real server, and on one that refuses and stalls."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

import forebay
from client.proxy import Answer, Request, scripted
from forebay.client import AsyncClient, AsyncSearch, Client, Hit, SearchFailed, TokenRefused, search_requests
from forebay.embedded.log import Log
from forebay.embedded.search import Hit as EmbeddedHit
from support.harness import RunningServer, batch, event, run, wait_for

pytestmark = pytest.mark.slow

AT = datetime(2025, 12, 4, 12, 15, 30, tzinfo=UTC)
COUNT = 250
EVENTS = [
    event(
        f"request {number}",
        "shop" if number % 2 else "other",
        timestamp=(AT + timedelta(seconds=number)).isoformat(),
        level="error" if number % 50 == 0 else "info",
        service="api",
        metadata={"ms": number / 2, "request_id": f"req-{number}", "user_id": number, "plan": "a+b & c"},
    )
    for number in range(COUNT)
]
PAGE = b'{"success":true,"data":{"logs":[],"pagination":{"next_cursor":null}}}'
SECONDS = 60.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path_factory.mktemp("searched") / "data", auth=True).start()
    server.drain(batch(*EVENTS)).raise_for_status()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(running: RunningServer) -> Iterator[Client]:
    with Client(running.url, running.first_token()) as opened:
        yield opened


def token_of(running: RunningServer, *options: str) -> str:
    made = run("token", "create", *options, "--data-dir", running.data_dir)
    assert made.returncode == 0, made.stderr
    return made.stdout.split()[-1]


def numbers(found: Any) -> list[int]:
    return [int(hit.message.split()[1]) for hit in found]


def test_all_come_newest_first_over_pages(client: Client) -> None:
    assert numbers(client.search("request")) == list(range(COUNT))[::-1]


def test_a_hit_is_the_event(client: Client) -> None:
    (hit,) = client.search("req-151")
    assert (hit.level, hit.service, hit.message, hit.project_id) == ("info", "api", "request 151", "shop")
    assert (hit.request_id, hit.user_id) == ("req-151", "151")
    assert hit.timestamp == AT + timedelta(seconds=151)
    assert hit.metadata == EVENTS[151]["metadata"]
    assert bytes(hit.json).startswith(b"{")
    assert hit.id.startswith("evt_")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"query": "/request 24[12]/"}, [242, 241]),
        ({"query": '"request 17"'}, [17]),
        ({"query": "-info"}, list(range(COUNT))[::-1]),
        ({"level": "ERROR"}, [200, 150, 100, 50, 0]),
        ({"service": "nobody"}, []),
        ({"project_id": "shop", "limit": 3}, [249, 247, 245]),
        ({"limit": 130}, list(range(120, COUNT))[::-1]),
        ({"limit": 0}, []),
        ({"since": AT + timedelta(seconds=248)}, [249, 248]),
        ({"until": (AT + timedelta(seconds=1)).timestamp()}, [1, 0]),
        ({"since": "2025-12-04T13:19:38+01:00"}, [249, 248]),
        ({"request_id": "req-9"}, [9]),
        ({"user_id": "9"}, [9]),
        ({"where": "ms>=124"}, [249, 248]),
        ({"where": ["ms>1", "ms<2"]}, [3]),
        ({"where": ["metadata.ms<=0.5", "plan=a+b & c"]}, [1, 0]),
    ],
    ids=str,
)
def test_a_condition_is_the_server_s(client: Client, conditions: dict[str, Any], expected: list[int]) -> None:
    assert numbers(client.search(**conditions)) == expected


def test_counts(client: Client) -> None:
    found = client.search("request", limit=1)
    assert found.total == COUNT
    assert found.stats("level").groups == {"info": 245, "error": 5}
    assert found.stats("project_id").groups == {"shop": 125, "other": 125}
    begins = AT.replace(second=0)
    times = client.search(since=AT, until=AT + timedelta(seconds=119)).stats("time", interval=timedelta(minutes=1))
    assert times.groups == {begins: 30, begins + timedelta(minutes=1): 60, begins + timedelta(minutes=2): 30}
    assert (times.other, times.total) == (0, 120)


def test_what_comes_meanwhile_does_not_shift_it(running: RunningServer, client: Client) -> None:
    found = iter(client.search("shifted"))
    assert next(found, None) is None
    rows = [event(f"shifted {n}", timestamp=(AT + timedelta(days=1, seconds=n)).isoformat()) for n in range(150)]
    running.drain(batch(*rows)).raise_for_status()
    found = iter(client.search("shifted"))
    first = next(found)
    running.drain(batch(event("shifted 999", timestamp=(AT + timedelta(days=2)).isoformat()))).raise_for_status()
    assert numbers([first, *found]) == list(range(150))[::-1]


def test_asyncio(running: RunningServer) -> None:
    async def searched() -> tuple[list[Hit], int, Any]:
        async with AsyncClient(running.url, running.first_token()) as client:
            found = client.search("request", where="ms<120")
            assert isinstance(found, AsyncSearch)
            return [hit async for hit in found], await found.total(), await found.stats("level")

    hits, total, counts = asyncio.run(searched())
    assert numbers(hits) == list(range(240))[::-1]
    assert total == 240
    assert counts.groups == {"info": 235, "error": 5}


def test_a_token_without_the_role_and_an_unknown_one(running: RunningServer) -> None:
    with Client(running.url, "unknown") as client, pytest.raises(TokenRefused, match=r"401.*needs the role ops"):
        list(client.search())
    ingest = token_of(running, "--name", "sender", "--role", "ingest")

    def refused() -> bool:
        with Client(running.url, ingest) as client, pytest.raises(TokenRefused) as raised:
            _ = client.search().total
        return "403" in str(raised.value)

    # The server looks for new tokens now and then.
    wait_for("the new token", refused)


def test_what_cannot_be_searched_for_is_said_by_the_server(client: Client) -> None:
    with pytest.raises(SearchFailed, match="400.*query") as raised:
        list(client.search("/(/"))
    assert raised.value.status == 400
    # The connection of another one is another one.
    assert client.search("request").total == COUNT


def test_what_no_server_could_answer_raises_at_once(client: Client) -> None:
    for wrong in ({"limit": -1}, {"where": "ms"}, {"since": "yesterday at noon", "where": [">"]}, {"until": 1e30}):
        with pytest.raises(ValueError):  # noqa: PT011 - each says something else
            client.search(**wrong)
    with pytest.raises(TypeError):
        client.search(since=[])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="goes with by"):
        client.search().stats("level", interval=timedelta(hours=1))
    for interval in (timedelta(milliseconds=1500), timedelta(0), timedelta(hours=-1)):
        with pytest.raises(ValueError, match="whole seconds"):
            client.search().stats("time", interval=interval)


def test_an_interval_is_written_in_its_longest_unit() -> None:
    written = {timedelta(seconds=90): "90s", timedelta(minutes=5): "5m", timedelta(hours=48): "2d"}
    assert {interval: search_requests.interval_text(interval) for interval in written} == written


def later(then: Answer, refusals: int = 1) -> tuple[list[Request], Callable[[Request], Answer]]:
    """Answers that a server has no room, so often, and then with something else."""
    asked: list[Request] = []

    def answer(request: Request) -> Answer:
        asked.append(request)
        status = 429 if len(asked) % 2 else 503
        return Answer(status, b"{}", {"Retry-After": "0"}) if len(asked) <= refusals else then

    return asked, answer


def test_a_server_without_room_is_asked_again() -> None:
    asked, answer = later(Answer(200, PAGE), 2)
    with scripted(answer) as server, Client(server.url) as client:
        assert list(client.search("a b+c", where="ms>0.5")) == []
    assert len(asked) == 3
    parts = urlsplit(asked[0].path)
    assert parts.path == "/api/v1/platform/system/logs"
    assert dict(parse_qsl(parts.query, keep_blank_values=True)) == {
        "query": "a b+c",
        "metadata.ms>0.5": "",
        "count": "false",
        "limit": "100",
    }


def test_a_longer_wait_than_the_patience_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_requests, "PATIENCE_SECONDS", 5.0)
    began = time.monotonic()
    refusal = Answer(429, b"{}", {"Retry-After": "3600"})
    with (
        scripted(lambda _: refusal) as server,
        Client(server.url) as client,
        pytest.raises(SearchFailed, match="429") as raised,
    ):
        list(client.search())
    assert raised.value.status == 429
    assert time.monotonic() - began < SECONDS


def test_an_answer_that_does_not_come_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_requests, "ANSWER_SECONDS", 0.2)
    ended = threading.Event()

    def stall(_: Request) -> Answer:
        ended.wait(SECONDS)
        return Answer(200, PAGE)

    with scripted(stall) as server, Client(server.url) as client:
        with pytest.raises(SearchFailed, match="no answer from") as raised:
            list(client.search())
        ended.set()
    assert raised.value.status is None


def test_nobody_there_and_somebody_else_there() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(SearchFailed, match="no answer from http://127.0.0.1:1"):
        list(client.search())
    answers = [Answer(200, b"<html>"), Answer(204), Answer(302, b"", {"Location": "http://a/b"})]
    with scripted(lambda _: answers.pop()) as server, Client(server.url) as client:
        for _ in range(3):
            with pytest.raises(SearchFailed):
                list(client.search())
    assert not answers


def test_a_cancelled_search_asks_no_more() -> None:
    asked, answer = later(Answer(200, PAGE), 10**6)

    async def cancelled(url: str) -> None:
        async with AsyncClient(url) as client:
            task = asyncio.create_task(client.search().total())
            await asyncio.to_thread(wait_for, "the first try", lambda: bool(asked))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with scripted(answer) as server:
        # Its end waits for the thread, which would go on for the whole patience.
        began = time.monotonic()
        asyncio.run(cancelled(server.url))
        assert time.monotonic() - began < search_requests.PATIENCE_SECONDS / 2


def test_the_vocabulary_is_that_of_the_embedded_log() -> None:
    ours, theirs = (inspect.signature(each.search).parameters for each in (Client, Log))
    # There numbers of several units are times.
    assert list(ours) == [name for name in theirs if name != "unit"]
    properties = {name for name in dir(EmbeddedHit) if not name.startswith("_")} - {"entry"}
    assert properties == set(Hit.__struct_fields__) - {"json"} | {"metadata"}
    assert {field.name for field in forebay.client.Counts.__dataclass_fields__.values()} == {
        *("groups", "other", "total"),
    }
