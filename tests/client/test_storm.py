"""A client behind a network that does its worst: what was accepted is stored, each event once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.proxy import FAULTS, faulty
from forebay.client import Client, Stats
from support.harness import RunningServer, wait_for

pytestmark = pytest.mark.slow

STORM_SECONDS = 60.0
ANSWER_SECONDS = 0.3

Start = Callable[..., RunningServer]


def adds_up(stats: Stats) -> bool:
    return stats.accepted == stats.delivered + stats.pending + stats.rejected + stats.dropped


def stored(server: RunningServer, stream: str = "logs") -> Counter[str]:
    def message(value: dict[str, Any]) -> str:
        """Returns the text of an event of any kind."""
        found = value.get("message") or value.get("data") or value["user"]["id"]
        return str(found["message"] if isinstance(found, dict) else found)

    return Counter(message(row["value"]) for row in server.records(stream))


def each_once(server: RunningServer, expected: set[str], stream: str = "logs") -> None:
    found = stored(server, stream)
    assert [message for message, count in found.items() if count > 1] == []
    assert set(found) == expected


@pytest.mark.parametrize("spooled", [False, True])
def test_after_a_storm_each_accepted_event_is_stored_once(server: Start, tmp_path: Path, spooled: bool) -> None:
    running = server()
    with running.client() as http:
        assert http.post("/api/v1/streams", json={"name": "orders"}).status_code == 201
    spool = tmp_path / "spool" if spooled else None
    with faulty(running.url, stall_seconds=2 * ANSWER_SECONDS) as proxy:
        proxy.share = 0.5
        client = Client(proxy.url, spool=spool, answer_seconds=ANSWER_SECONDS, batch_events=20, linger_seconds=0.01)
        watched = threading.Event()
        sums = threading.Thread(target=watch, args=(client, watched))
        sums.start()
        threads = [threading.Thread(target=hand_over, args=(client, name)) for name in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for("every fault", lambda: set(FAULTS) <= proxy.seen.keys(), STORM_SECONDS)
        proxy.share = 0
        assert client.flush(STORM_SECONDS) == 0
        watched.set()
        sums.join()
        stats = client.stats()
        assert client.close() == 0
    assert (stats.accepted, stats.delivered, stats.rejected, stats.dropped) == (3 * 1600, 3 * 1600, 0, 0)
    assert stats.retries > 10
    each_once(running, {f"log {name} {number}" for name in range(3) for number in range(800)})
    each_once(running, {f"publish {name} {number}" for name in range(3) for number in range(400)}, "orders")
    each_once(running, {f"event {name} {number}" for name in range(3) for number in range(0, 800, 4)}, "events")
    each_once(running, {f"track {name} {number}" for name in range(3) for number in range(0, 800, 4)}, "analytics")
    if spool is not None:
        assert list(spool.iterdir()) == []


def hand_over(client: Client, name: int) -> None:
    for number in range(800):
        assert client.log(f"log {name} {number}")
        if number % 2:
            assert client.publish("orders", {"message": f"publish {name} {number // 2}"})
        if number % 4 == 0:
            assert client.event("view", f"source {name}", {"message": f"event {name} {number}"})
            assert client.track("view", user=f"track {name} {number}")


def watch(client: Client, ended: threading.Event) -> None:
    while not ended.wait(0.001):
        stats = client.stats()
        assert adds_up(stats), stats


def test_a_server_that_is_killed_and_started_under_eight_senders(server: Start, tmp_path: Path) -> None:
    first = server()
    port = first.url.rsplit(":", 1)[1]
    clients = [
        Client(first.url, spool=tmp_path / "spool" if number % 2 else None, batch_events=100) for number in range(8)
    ]
    done = threading.Event()

    def send(number: int) -> None:
        for at in range(4000):
            assert clients[number].log(f"{number} {at}")
            if at == 1000:
                done.wait(STORM_SECONDS)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    wait_for("the first events", lambda: len(first.records()) > 1000)
    first.kill()
    done.set()
    second = server("--port", port)
    for thread in threads:
        thread.join()
    assert [client.close(STORM_SECONDS) for client in clients] == [0] * 8
    assert all(adds_up(client.stats()) for client in clients)
    assert sum(client.stats().delivered for client in clients) == 32_000
    each_once(second, {f"{number} {at}" for number in range(8) for at in range(4000)})
