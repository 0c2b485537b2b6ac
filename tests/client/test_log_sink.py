"""Loggers on an event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from client.proxy import Request, accepted, scripted
from client.test_storm import adds_up
from forebay.client import AsyncClient, Client, LoggingHandler, StructlogProcessor

NOBODY = "http://127.0.0.1:1"
ROOM = 5
MANY = 50
BLOCK_SECONDS = 20.0


def logs(kind: str, client: Client | AsyncClient) -> Any:
    """A function that logs a message."""
    if kind == "structlog":
        processor = StructlogProcessor(client)
        return lambda message: processor(None, "info", {"event": message})
    handler = LoggingHandler(client)
    return lambda message: handler.handle(logging.makeLogRecord({"msg": message}))


@pytest.mark.parametrize("kind", ["logging", "structlog"])
@pytest.mark.parametrize("of", [Client, AsyncClient])
def test_a_loop_does_not_wait_for_room(kind: str, of: Any) -> None:
    client = of(NOBODY, queue_events=ROOM, block_seconds=BLOCK_SECONDS)
    log = logs(kind, client)

    async def run() -> None:
        for number in range(MANY):
            log(str(number))

    began = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - began < BLOCK_SECONDS / 2
    stats = client.stats()
    assert (stats.accepted, stats.pending, stats.dropped) == (MANY, ROOM, MANY - ROOM)
    assert adds_up(stats)
    (client if of is Client else client._client).close(0)


def test_a_thread_without_a_loop_waits_and_others_drops_do_not_disturb_it() -> None:
    gate = threading.Event()

    def answer(request: Request) -> Any:
        gate.wait(30)
        return accepted(request)

    async def run(log: Any) -> None:
        log("dropped")

    with (
        scripted(answer) as server,
        Client(server.url, queue_events=1, linger_seconds=0, block_seconds=BLOCK_SECONDS) as client,
    ):
        log = logs("logging", client)
        log("first")
        asyncio.run(run(log))
        assert client.stats().dropped == 1
        waits = threading.Thread(target=log, args=("second",))
        waits.start()
        gate.set()
        waits.join(30)
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().dropped) == (2, 1)


def test_an_async_client_gets_what_is_logged() -> None:
    async def run(url: str) -> None:
        async with AsyncClient(url) as client:
            for kind in ("logging", "structlog"):
                logs(kind, client)("x")
            assert await client.flush() == 0
            assert client.stats().delivered == 2

    with scripted(accepted) as server:
        asyncio.run(run(server.url))


@pytest.mark.parametrize("of", [LoggingHandler, StructlogProcessor])
def test_what_is_no_client_is_refused_at_once(of: Any) -> None:
    with pytest.raises(TypeError, match="a Client or an AsyncClient is needed, not str"):
        of("http://127.0.0.1:8080")
