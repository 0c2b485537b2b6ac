"""`log_many`: each row for itself, when it comes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from client.proxy import Scripted, accepted, scripted
from client.test_storm import adds_up
from forebay.client import AsyncClient, Client, Rejection
from forebay.client.encoding import Encoder
from forebay.client.endpoint import endpoint_of
from forebay.client.queue import Limits, Queue, Store
from forebay.client.row_buffer import RowBuffer
from support.harness import RunningServer, wait_for

FEW = 10
"""Rows: so few that nothing is full by their number."""


class Stop(BaseException):
    pass


class Unreadable(Mapping[str, Any]):
    def __getitem__(self, _: str) -> Any:
        raise RuntimeError

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __str__(self) -> str:
        return "unreadable"


def all_sent(server: Scripted, count: int) -> bool:
    return len(messages(server)) == count


def messages(server: Scripted) -> list[str]:
    return [event["message"] for request in server.seen for event in json.loads(request.body)["events"]]


def test_a_bad_row_is_refused_alone(shared_server: RunningServer) -> None:
    told: list[Rejection] = []
    rows: list[Any] = [{"message": str(number)} for number in range(FEW)]
    rows[3]["timestamp"] = float("nan")
    rows[4]["timestamp"] = object()
    rows[5]["level"] = ""
    rows[6] = None
    rows[7] = Unreadable()
    with Client(shared_server.url, project_id="rows", on_rejected=told.append) as client:
        assert client.log_many(rows) == FEW
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().rejected) == (FEW - 3, 3)
        assert adds_up(client.stats())
    assert [json.loads(row.event or b"")["message"] for row in told] == ["3", "4", "5"]
    kept = [row["value"]["message"] for row in shared_server.records() if row["key"] == "rows"]
    assert kept == ["0", "1", "2", "None", "unreadable", "8", "9"]


def test_none_in_a_row_is_as_in_a_call() -> None:
    encoder = Encoder("p", "s")
    fields: dict[str, Any] = dict.fromkeys(("project_id", "service", "level", "timestamp"))
    row = json.loads(encoder.row({"message": 404, **fields}))
    call = json.loads(encoder.log(404, None)[1])  # type: ignore[arg-type]
    del row["timestamp"], call["timestamp"]
    assert row == call == {"project_id": "p", "service": "s", "level": "info", "message": "404"}


@pytest.mark.parametrize("error", [ValueError, Stop])
def test_what_came_before_an_error_of_the_iterator_is_handed_over(error: type[BaseException]) -> None:
    def broken() -> Iterator[str]:
        yield from map(str, range(FEW))
        raise error

    async def send(url: str) -> None:
        async with AsyncClient(url) as client:
            with pytest.raises(error):
                await client.log_many(broken())
            assert await client.flush() == 0
            assert client.stats().delivered == FEW

    with scripted(accepted) as server:
        with Client(server.url) as client:
            with pytest.raises(error):
                client.log_many(broken())
            assert client.flush() == 0
            assert (client.stats().accepted, client.stats().delivered) == (FEW, FEW)
        asyncio.run(send(server.url))
        assert messages(server) == [str(number) for number in range(FEW)] * 2


@pytest.mark.parametrize("options", [{}, {"linger_seconds": 0}, {"policy": "drop_oldest"}])
def test_what_an_iterator_gave_is_sent_while_it_takes_its_time(options: Any) -> None:
    """All of it, not only what came by the full hundred."""
    with scripted(accepted) as server, Client(server.url, connections=1, **options) as client:

        def bursts() -> Iterator[str]:
            for burst in range(3):
                yield from map(str, range(burst * FEW, burst * FEW + FEW))
                wait_for("the burst", partial(all_sent, server, (burst + 1) * FEW))

        assert client.log_many(bursts()) == 3 * FEW
        assert messages(server) == [str(number) for number in range(3 * FEW)]


def test_a_row_has_the_time_at_which_it_was_taken() -> None:
    def rows(server: Scripted) -> Iterator[str]:
        yield "first"
        wait_for("the first", lambda: bool(messages(server)))
        yield "second"

    with scripted(accepted) as server, Client(server.url) as client:
        client.log_many(rows(server))
        assert client.flush() == 0
        first, second = (json.loads(request.body)["events"][0]["timestamp"] for request in server.seen)
    assert first < second


def test_a_sender_leaves_what_does_not_fit_and_the_caller_waits_for_room() -> None:
    limits = Limits(FEW, 1 << 20, "block", 30.0, FEW, 1 << 20, 10.0)
    queue = Queue(limits, Store(limits))
    buffer = RowBuffer(queue, endpoint_of("drain"))
    rows = [b"%d" % number for number in range(3 * FEW)]
    buffer.rows.extend(rows)
    for _ in range(2):
        buffer.hand_over_what_fits()
        assert (list(buffer.rows), buffer.done, queue.pending) == (rows[FEW:], FEW, FEW)
    caller = threading.Thread(target=buffer.hand_over)
    caller.start()
    sent: list[bytes] = []
    while len(sent) < len(rows):
        batch = queue.take(30)
        assert batch is not None
        buffer.hand_over_what_fits()  # the caller is at it
        sent += batch.read()
        queue.settle(batch, 0, batch.count, 0)
    caller.join(30)
    assert (sent, buffer.done, queue.dropped) == (rows, 3 * FEW, 0)


def test_a_loop_s_turn_ends_by_time() -> None:
    """A few slow rows do not hold an event loop for as long as hundreds of them take."""

    async def send(url: str) -> None:
        async with AsyncClient(url) as client:
            turns = 0
            ended = False

            async def others() -> None:
                nonlocal turns
                while not ended:
                    turns += 1
                    await asyncio.sleep(0)

            running = asyncio.create_task(others())

            def slow() -> Iterator[str]:
                for number in range(FEW):
                    threading.Event().wait(0.01)
                    yield str(number)

            assert await client.log_many(slow()) == FEW
            ended = True
            await running
            assert turns >= FEW - 1

    with scripted(accepted) as server:
        asyncio.run(send(server.url))
