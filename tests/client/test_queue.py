"""The bound of what waits, the policies, and the account."""

from __future__ import annotations

import json
import os
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from client.proxy import Answer, Request, accepted, scripted, stored
from client.test_storm import adds_up
from forebay.client import Client
from forebay.client.queue import EVENT_OVERHEAD, Policy
from support.harness import resident_bytes, wait_for

NOBODY = "http://127.0.0.1:1"
MIB = 1 << 20


@pytest.mark.parametrize("policy", ["block", "drop_newest", "drop_oldest"])
@pytest.mark.parametrize("bound", [{"queue_events": 5_000}, {"queue_bytes": 2 * MIB}])
def test_a_tight_loop_without_a_server_stays_within_the_bound(policy: Policy, bound: dict[str, Any]) -> None:
    before = resident_bytes(os.getpid())
    client = Client(NOBODY, policy=policy, block_seconds=0.05, **bound)
    try:
        for number in range(100_000):
            client.log(f"{number}", metadata={"filler": "x" * 100})
            if number % 5_000 == 0:
                assert adds_up(client.stats())
        stats = client.stats()
        assert adds_up(stats)
        assert stats.accepted == 100_000
        assert stats.pending + stats.dropped == 100_000
        room = bound.get("queue_events", 2 * MIB // (len('"metadata"') + EVENT_OVERHEAD))
        assert 0 < stats.pending <= room
        assert resident_bytes(os.getpid()) - before < 24 * MIB
    finally:
        left = client.close(0)
    assert left == stats.pending


def kept(policy: Policy) -> list[int]:
    """Returns which of 100 events are delivered that were handed over to a queue of 10 while the server was stuck."""
    gate = threading.Event()

    def answer(request: Request) -> Answer:
        gate.wait(10)
        return accepted(request)

    with scripted(answer) as server:
        client = Client(server.url, policy=policy, queue_events=10, batch_events=2, connections=1, block_seconds=0.01)
        client.log("0")
        client.log("0")
        wait_for("the first batch to be sent", lambda: len(server.seen) == 1)
        for number in range(1, 100):
            client.log(str(number))
        gate.set()
        assert client.close() == 0
        assert adds_up(client.stats())
    rows = [json.loads(request.body) for request in server.seen]
    return [int(event["message"]) for row in rows for event in row["events"]][2:]


def test_newest_and_oldest_are_dropped_as_asked() -> None:
    assert kept("drop_newest") == [1, 2, 3, 4, 5, 6, 7, 8]
    assert kept("drop_oldest") == [92, 93, 94, 95, 96, 97, 98, 99]
    assert kept("block") == [1, 2, 3, 4, 5, 6, 7, 8]


def test_blocking_waits_for_room_and_only_one_caller_for_a_dead_server() -> None:
    with scripted(accepted) as server, Client(server.url, queue_events=1000, batch_events=100) as client:
        assert client.log_many({"message": str(number)} for number in range(20_000)) == 20_000
        assert client.flush() == 0
        assert client.stats().delivered == 20_000
    client = Client(NOBODY, queue_events=10, block_seconds=0.2)
    started = time.monotonic()
    for number in range(1000):
        client.log(str(number))
    # Once, and not for each of the 990.
    assert 0.2 <= time.monotonic() - started < 990 * 0.2 / 2
    client.close(0)
    assert client.stats().dropped == 990


def test_an_event_larger_than_the_bound_goes_alone() -> None:
    with scripted(accepted) as server, Client(server.url, queue_bytes=1000, policy="drop_newest") as client:
        assert client.log("x" * 5000)
        assert not client.log("y")
        assert client.flush() == 0
        assert client.log("z")


def test_batches_are_closed_by_number_bytes_and_age() -> None:
    with scripted(accepted) as server, Client(server.url, batch_events=3, linger_seconds=0.05, connections=1) as client:
        for number in range(4):
            client.log(str(number))
        wait_for("both", lambda: len(server.seen) == 2)
        assert [request.body.count(b"message") for request in server.seen] == [3, 1]
        wait_for("both answers", lambda: client.stats().pending == 0)
    with scripted(accepted) as server, Client(server.url, batch_bytes=1000, linger_seconds=60) as client:
        for _ in range(3):
            client.log("x" * 400)
        wait_for("the first", lambda: len(server.seen) == 1)
        assert client.flush() == 0
        assert [len(request.body) < 1500 for request in server.seen] == [True, True]


def test_handing_over_after_close_is_counted() -> None:
    with scripted(accepted) as server:
        client = Client(server.url)
        assert client.close() == 0
        assert client.log("late") is False
        assert client.log_many(["late", "later"]) == 2
        assert (client.stats().accepted, client.stats().dropped) == (3, 3)


@pytest.mark.parametrize("spooled", [False, True])
def test_the_account_adds_up_at_any_instant_under_threads(tmp_path: Path, spooled: bool) -> None:
    def answer(request: Request) -> Answer:
        return stored(b'{"quarantined":1}') if len(request.body) % 2 else accepted(request)

    with scripted(answer) as server:
        client = Client(server.url, queue_events=500, batch_events=20, spool=tmp_path / "spool" if spooled else None)
        ended = threading.Event()

        def send(number: int) -> None:
            for at in range(3000):
                client.log("x" * (number + at % 7))
            client.log_many(["y"] * 500)

        seen = []
        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()

        def sample() -> bool:
            stats = client.stats()
            assert adds_up(stats), stats
            seen.append(stats)
            return not any(thread.is_alive() for thread in threads)

        wait_for("the senders", sample, 60)
        ended.set()
        assert client.close() == 0
        stats = client.stats()
        assert adds_up(stats)
        assert stats.accepted == 4 * 3500 == stats.delivered + stats.rejected + stats.dropped
        assert stats.rejected > 0
        assert all(earlier.accepted <= later.accepted for earlier, later in pairwise(seen))


def test_options_are_checked() -> None:
    wrongs: tuple[dict[str, Any], ...] = (
        {"batch_events": 0},
        {"batch_events": 1001},
        {"policy": "hope"},
        {"spool_fsync": "never"},
        {"connections": 0},
        {"token": "two\nlines"},
    )
    for wrong in wrongs:
        with pytest.raises(ValueError):  # noqa: PT011
            Client(NOBODY, **wrong)
    with pytest.raises(ValueError, match="is not http://host:port"):
        Client("localhost")
    with Client(NOBODY) as client, pytest.raises(ValueError, match="no name of a stream"):
        client.publish("a/b", 1)
