"""Readers that do not take their answers: bounded memory, and room again for the others."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from forebay.server.http import deliveries
from support.harness import ANSWER_SECONDS, RunningServer, resident_bytes, wait_for

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]

READERS = 80
RECORD = "x" * 500_000
RECORDS = 20
ALLOWED_BYTES = 2 * deliveries.MAX_BYTES + (150 << 20)
"""Bodies, what is copied of them on their way, and what Python and the reading take."""

PATHS = ("/api/v1/streams/big/records?limit=100", "/api/v1/streams/big/events?consumerGroup=g{}&limit=100&timeout=0")


@pytest.fixture
def big(server: Start) -> RunningServer:
    running = server()
    running.post("/api/v1/streams", {"name": "big", "partitions": 1}).raise_for_status()
    for _ in range(RECORDS):
        running.post("/api/v1/streams/big/events", {"value": RECORD}).raise_for_status()
    return running


def stand_still(running: RunningServer, stack: ExitStack, number: int) -> socket.socket:
    """A reader that asks and takes nothing."""
    parts = urlsplit(running.url)
    reader = stack.enter_context(socket.socket())
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect((parts.hostname, parts.port))
    path = PATHS[number % 2].format(number)
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return reader


def test_readers_that_stand_still_take_bounded_memory_and_are_cut_off(big: RunningServer) -> None:
    before = resident_bytes(big.pid)
    most = 0
    with ExitStack() as stack, big.client() as client:
        for number in range(READERS):
            stand_still(big, stack, number)

        def served() -> bool:
            nonlocal most
            most = max(most, resident_bytes(big.pid) - before)
            assert client.get("/health").status_code == 200
            return client.get("/api/v1/streams/big/records", params={"limit": 100}).status_code == 200

        # Each of these waits at most `WAIT_SECONDS`; the readers before it are cut off meanwhile, in two rounds.
        for _ in range(3):
            wait_for("an answer for a reader that takes it", served, 4 * deliveries.STALLED_SECONDS)
    assert most < ALLOWED_BYTES, f"{most >> 20} MiB more"


def test_one_token_has_half_and_those_behind_it_do_not_wait() -> None:
    async def check() -> None:
        budget = deliveries.Deliveries(100)
        held = [await budget.room(b"a", 25) for _ in range(2)]
        third = asyncio.ensure_future(budget.room(b"a", 25))
        other = await asyncio.wait_for(budget.room(b"b", 50), ANSWER_SECONDS)
        assert not third.done()
        fourth = asyncio.ensure_future(budget.room(b"a", 25))
        await asyncio.sleep(0)
        fourth.cancel()
        held[0].release()
        held[0].release()
        await asyncio.wait_for(third, ANSWER_SECONDS)
        with pytest.raises(asyncio.CancelledError):
            await fourth
        for room in (other, held[1], third.result()):
            room.release()
        rooms = [await budget.room(owner, 50) for owner in (b"a", b"b")]
        assert [room.size for room in rooms] == [50, 50]

    asyncio.run(check())


def test_a_slow_reader_gets_all_of_its_answer(big: RunningServer) -> None:
    with ExitStack() as stack:
        reader = stand_still(big, stack, 0)
        reader.settimeout(ANSWER_SECONDS)
        head, _, body = reader.recv(4096).partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        text = bytearray(body)
        while len(text) < length:
            piece = reader.recv(1 << 20)
            assert piece, "broken off"
            text += piece
    assert all(json.loads(line)["value"] == RECORD for line in text.splitlines())


def test_the_room_of_answers_that_were_taken_is_free_again(big: RunningServer) -> None:
    """More than the budget in all, one after the other, with and without a connection that is kept."""
    with big.client() as client:
        for number in range(2 * deliveries.MAX_BYTES // (8 << 20)):
            kept = number % 2 == 0
            headers = {} if kept else {"connection": "close"}
            answer = client.get(PATHS[number % 2].format(number), headers=headers)
            assert answer.status_code == 200
            assert len(answer.content) > 1 << 20
