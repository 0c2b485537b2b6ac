"""The client for asyncio never blocks the loop."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from client.proxy import Answer, Request, accepted, scripted
from client.test_storm import adds_up
from forebay.client import AsyncClient

NOBODY = "http://127.0.0.1:1"


TURNS = 100
"""So many turns of the loop are more than enough for a task that could go on to do so."""


class Ticker:
    """How often the loop came round to somebody else."""

    def __init__(self) -> None:
        self.turns = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.001)
            self.turns += 1


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("fsync", ["interval", "always", None])
def test_every_kind_of_event_arrives(tmp_path: Path, fsync: Literal["interval", "always"] | None) -> None:
    async def send(url: str) -> None:
        options: dict[str, Any] = {"spool": tmp_path, "spool_fsync": fsync} if fsync else {}
        async with AsyncClient(url, **options) as client:
            assert await client.log("a", "error", metadata={"b": 1})
            assert await client.log_many([{"message": str(number)} for number in range(600)]) == 600
            assert await client.track("view", user="u")
            assert await client.event("view", "app", {"a": 1}, event_id="mine")
            assert await client.publish("orders", {"a": 1}, key="k")
            assert await client.flush() == 0
            assert client.stats().delivered == 604
        assert await client.close() == 0

    with scripted(accepted) as server:
        asyncio.run(send(server.url))
        count = {request.path: 0 for request in server.seen}
        for request in server.seen:
            body = json.loads(request.body)
            count[request.path] += len(body["events"] if isinstance(body, dict) else body)
    assert count == {
        "/v1/drain": 601,
        "/v1/analytics/track/batch": 1,
        "/api/events/batch": 1,
        "/api/v1/streams/orders/events/batch": 1,
    }


def test_a_full_queue_is_awaited_while_the_loop_goes_on() -> None:
    gate = threading.Event()

    def answer(request: Request) -> Answer:
        gate.wait(10)
        return accepted(request)

    async def send(url: str) -> None:
        ticker = Ticker()
        ticking = asyncio.create_task(ticker.run())
        async with AsyncClient(url, queue_events=50, batch_events=10, block_seconds=30) as client:
            sending = asyncio.gather(*(client.log(str(number)) for number in range(200)))
            many = asyncio.create_task(client.log_many(map(str, range(200))))
            await until(lambda: client.stats().pending == 50)
            full = ticker.turns
            await until(lambda: ticker.turns >= full + TURNS)
            assert not sending.done()
            assert client.stats().pending == 50
            gate.set()
            assert all(await sending)
            assert await many == 200
            assert await client.flush() == 0
            assert client.stats().delivered == 400
        ticking.cancel()

    with scripted(answer) as server:
        asyncio.run(send(server.url))


def test_a_dead_server_is_waited_for_once() -> None:
    async def send() -> None:
        client = AsyncClient(NOBODY, queue_events=5, block_seconds=0.1)
        began = time.monotonic()
        kept = [await client.log(str(number)) for number in range(100)]
        # Once, and not for each of the 95.
        assert 0.1 <= time.monotonic() - began < 95 * 0.1
        assert kept == [True] * 5 + [False] * 95
        assert adds_up(client.stats())
        assert await client.close(0) == 5

    asyncio.run(send())
