"""A signal's handler that raises, wherever it does, costs that call's event at most; one that waits, nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client.interruption import interrupted
from client.proxy import Answer, Request, Scripted, accepted, scripted
from client.test_storm import adds_up
from forebay.client import Client
from support.harness import wait_for

LARGE = "x" * 100_000
"""Two make a file of the smallest spool full, and ten the spool."""

SMALL_SPOOL = 1 << 20


class Gate:
    """A server that answers when it may."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.opened.set()

    def __call__(self, request: Request) -> Answer:
        self.opened.wait(10)
        return accepted(request)


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate()


@pytest.fixture(scope="module")
def server(gate: Gate) -> Iterator[Scripted]:
    with scripted(gate) as running:
        yield running


def messages(server: Scripted) -> list[str]:
    return [event["message"] for request in list(server.seen) for event in json.loads(request.body)["events"]]


def fill(message: str, count: int) -> Callable[[Client], None]:
    def done(client: Client) -> None:
        for number in range(count):
            client.log(f"{number} {message}")

    return done


CASES: dict[str, tuple[dict[str, Any], Callable[[Client], None], Callable[[Client], Any]]] = {
    "first": ({}, fill("", 0), lambda client: client.log("interrupted")),
    "full batch": ({"batch_events": 3}, fill("", 2), lambda client: client.log("interrupted")),
    "many": ({"batch_events": 5}, fill("", 2), lambda client: client.log_many(["interrupted"] * 7)),
    "drop_oldest": (
        {"batch_events": 2, "queue_events": 4, "policy": "drop_oldest"},
        fill("", 9),
        lambda client: client.log("interrupted"),
    ),
    "block": (
        {"batch_events": 2, "queue_events": 4, "block_seconds": 0.001},
        fill("", 3),
        lambda client: [client.log("interrupted") for _ in range(3)],
    ),
}
SPOOLED = CASES | {
    "read back": ({"batch_events": 3, "queue_bytes": 1}, fill("", 1), lambda client: client.log("interrupted")),
    "full file": (
        {"spool_bytes": SMALL_SPOOL, "batch_events": 2},
        fill(LARGE, 1),
        lambda client: client.log(f"interrupted {LARGE}"),
    ),
    "drop_oldest": (
        {"spool_bytes": SMALL_SPOOL, "batch_events": 1, "policy": "drop_oldest"},
        fill(LARGE, 12),
        lambda client: client.log(f"interrupted {LARGE}"),
    ),
    "always": ({"spool_fsync": "always"}, fill("", 0), lambda client: client.log("interrupted")),
}
STUCK = ("drop_oldest", "block")
"""Cases in which the server takes nothing meanwhile."""


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a file that nobody knew yet closes itself
@pytest.mark.parametrize(("name", "spooled"), [*((name, False) for name in CASES), *((name, True) for name in SPOOLED)])
def test_an_exception_anywhere_costs_one_event_at_most(
    server: Scripted, gate: Gate, tmp_path: Path, name: str, spooled: bool
) -> None:
    options, before, call = (SPOOLED if spooled else CASES)[name]
    descriptors = len(os.listdir("/proc/self/fd"))
    place, goes_on = 0, True
    while goes_on:
        server.seen.clear()
        if name in STUCK:
            gate.opened.clear()
        client = Client(server.url, spool=tmp_path if spooled else None, connections=1, linger_seconds=0.002, **options)
        before(client)
        sent = client.stats().accepted
        goes_on = interrupted(lambda client=client: call(client), place)  # type: ignore[misc]
        gate.opened.set()
        last = client.log("last")
        assert client.flush(5) == 0, place
        stats = client.stats()
        assert adds_up(stats), (place, stats)
        assert stats.accepted >= sent + 1, (place, stats)
        found = messages(server)
        assert len(found) == stats.delivered == stats.accepted - stats.dropped, (place, stats)
        assert last is (stats.dropped == 0 or "last" in found)
        assert client.close() == 0
        assert [path.name for path in tmp_path.iterdir()] == [], place
        place += 1
    assert place > 10
    wait_for("descriptors to be closed", lambda: len(os.listdir("/proc/self/fd")) <= descriptors)


@pytest.mark.parametrize("spooled", [False, True])
@pytest.mark.parametrize("ends", [False, True])
def test_a_handler_may_wait_in_the_middle_of_a_call(tmp_path: Path, spooled: bool, ends: bool) -> None:
    """As one that flushes, or closes the client, before the process ends."""
    waited = 0
    with scripted(accepted) as server:
        client = Client(server.url, batch_events=20, spool=tmp_path if spooled else None)

        def handler(*_: object) -> None:
            nonlocal waited
            waited += 1
            client.log("handler")
            assert (client.close(5) if ends and waited == 20 else client.flush(5)) == 0

        before = signal.signal(signal.SIGALRM, handler)
        other = threading.Thread(target=lambda: [client.log("other") for _ in range(1000)])
        other.start()
        number = 0
        try:
            while waited < 20:
                signal.setitimer(signal.ITIMER_REAL, 0.0003)
                for _ in range(50):
                    client.log("loop")
                    number += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        other.join()
        assert client.flush(5) == 0
        stats = client.stats()
        assert adds_up(stats)
        assert stats.accepted == number + waited + 1000
        assert len(messages(server)) == stats.delivered
        assert ends or stats.dropped == 0
        assert client.close() == 0
