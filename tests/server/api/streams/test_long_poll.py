"""Consumers that wait."""

import asyncio
import logging
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.harness import RunningServer, answer, batch, event, processor_seconds, serving, wait_for

pytestmark = pytest.mark.slow

log = logging.getLogger(__name__)

WAITERS = 1000
POLL_MS = 30_000
"""The longest that a poll may wait."""

PATIENCE = 30.0


@pytest.fixture(scope="module")
def waiting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    path = tmp_path_factory.mktemp("server") / "data"
    with serving(path, logs_partitions=1, max_connections=WAITERS + 100) as running:
        yield running


def poll_request(group: str, **parameters: object) -> bytes:
    query = "&".join(f"{name}={value}" for name, value in {"consumerGroup": group, **parameters}.items())
    return f"GET /api/v1/streams/logs/events?{query} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def exists(running: RunningServer, group: str) -> bool:
    """A group exists from its first call."""
    with running.client() as client:
        return client.get(f"/api/v1/consumers/{group}").status_code == 200


def test_nothing_by_the_timeout_is_an_empty_list(waiting_server: RunningServer) -> None:
    with waiting_server.client() as client:
        started = time.monotonic()
        query: dict[str, Any] = {"consumerGroup": "empty", "offset": "latest", "timeout": 300}
        body = client.get("/api/v1/streams/logs/events", params=query).raise_for_status().json()
        waited = time.monotonic() - started
    assert body["events"] == []
    assert 0.3 <= waited < 10


def test_a_waiting_consumer_is_woken_by_the_commit(waiting_server: RunningServer) -> None:
    """Measured from the publisher's acknowledgement to the end of the consumer's answer."""
    latencies = []
    with waiting_server.client() as publisher, closing(waiting_server.connect()) as consumer:
        for number in range(100):
            consumer.sendall(poll_request("woken", offset="latest", timeout=20000))
            wait_for("the group", lambda: exists(waiting_server, "woken"))
            time.sleep(0.01)  # The poll must wait before the record comes, which only the time can tell.
            body = batch(event(f"wake {number}"))
            received: list[float] = []

            def receive(received: list[float] = received, number: int = number) -> None:
                status, _headers, content = answer(consumer)
                received.append(time.perf_counter())
                assert status == 200
                assert f"wake {number}".encode() in content

            thread = threading.Thread(target=receive)
            thread.start()
            publisher.post("/v1/drain", content=body).raise_for_status()
            acknowledged = time.perf_counter()
            thread.join(PATIENCE)
            latencies.append((received[0] - acknowledged) * 1000)
    median = statistics.median(latencies)
    log.info(f"wake-up after the acknowledgement: median {median:.2f} ms, worst {max(latencies):.2f} ms")
    # Nobody who is woken waits out the timeout of the poll.
    assert median < 1000


def test_a_thousand_waiting_consumers_cost_nothing_and_all_wake(waiting_server: RunningServer) -> None:
    connections = [waiting_server.connect() for _ in range(WAITERS)]
    asked: list[float] = []
    try:
        for number, connection in enumerate(connections):
            connection.sendall(poll_request(f"many-{number % 10}", offset="latest", timeout=POLL_MS))
            asked.append(time.monotonic())
        last = (WAITERS - 1) % 10
        wait_for("the groups", lambda: exists(waiting_server, f"many-{last}"))
        wait_for("the server to rest while they wait", lambda: rests(waiting_server))
        waiting_server.drain(batch(event("for all")))
        drained = time.monotonic()
        for since, connection in zip(asked, connections, strict=True):
            status, _headers, content = answer(connection)
            assert status == 200
            # On a machine that takes so long to ask for all of them the first ones have waited in vain by then.
            assert b"for all" in content or since + POLL_MS / 1000 <= drained
    finally:
        for connection in connections:
            connection.close()


def rests(running: RunningServer) -> bool:
    """True when a second passes in which the server wakes up far less often than each waiter would by itself. The time
    that a look of theirs takes depends on the machine."""
    before = wake_ups(running.pid)
    threading.Event().wait(1.0)
    return wake_ups(running.pid) - before < WAITERS / 10


def wake_ups(pid: int) -> int:
    """How often the process's threads have gone to sleep (`voluntary_ctxt_switches` of proc(5))."""
    rows = [line for task in Path(f"/proc/{pid}/task").iterdir() for line in (task / "status").read_text().splitlines()]
    return sum(int(row.split()[1]) for row in rows if row.startswith("voluntary_ctxt_switches"))


def settle(running: RunningServer) -> None:
    """Until the server's processor time stands still: every poll waits."""
    seen = [processor_seconds(running.pid)]

    def still() -> bool:
        threading.Event().wait(0.2)
        seen.append(processor_seconds(running.pid))
        return seen[-1] - seen[-2] < 0.03

    wait_for("the polls to wait", still)


def test_every_waiter_is_answered_at_the_end(tmp_path: Path) -> None:
    with serving(tmp_path / "data", logs_partitions=1) as running:
        connections: list[socket.socket] = [running.connect() for _ in range(50)]
        for number, connection in enumerate(connections):
            connection.sendall(poll_request(f"end-{number}", timeout=30000, memberId="m"))
        wait_for("the groups", lambda: exists(running, "end-49"))
        settle(running)
        started = time.monotonic()
        ended = threading.Thread(target=running.terminate)
        ended.start()
        for connection in connections:
            status, _headers, content = answer(connection)
            assert status == 200
            assert b'"events":[]' in content
            connection.close()
        ended.join(PATIENCE)
        assert time.monotonic() - started < 10


def test_a_rebalance_wakes_the_members_that_wait(waiting_server: RunningServer) -> None:
    """The second member has no partition until the first leaves; then it has what it waited for at once."""
    waiting_server.drain(batch(event("left over")))
    query: dict[str, Any] = {"consumerGroup": "handover", "timeout": 0, "memberId": "first"}
    with waiting_server.client() as client, closing(waiting_server.connect()) as second:
        assert client.get("/api/v1/streams/logs/events", params=query).json()["events"]
        second.sendall(poll_request("handover", timeout=20000, memberId="second", limit=10000))
        wait_for("the second member", lambda: len(client.get("/api/v1/consumers/handover").json()["members"]) == 2)
        settle(waiting_server)
        started = time.monotonic()
        client.delete("/api/v1/consumers/handover/members/first").raise_for_status()
        status, _headers, content = answer(second)
        assert status == 200
        assert b"left over" in content
        assert time.monotonic() - started < 5


def test_a_consumer_that_went_away_commits_nothing(waiting_server: RunningServer) -> None:
    with waiting_server.client() as client:
        query: dict[str, Any] = {"consumerGroup": "gone", "timeout": 0, "autoCommit": "true", "limit": 10_000}
        client.get("/api/v1/streams/logs/events", params=query).raise_for_status()
        before = client.get("/api/v1/consumers/gone").json()["offsets"][0]["offset"]
        with closing(waiting_server.connect()) as consumer:
            consumer.sendall(poll_request("gone", timeout=30000, autoCommit="true"))
            settle(waiting_server)
        settle(waiting_server)
        waiting_server.drain(batch(event("to nobody")))
        settle(waiting_server)
        assert client.get("/api/v1/consumers/gone").json()["offsets"][0]["offset"] == before


def test_polls_know_nothing_of_each_other_without_a_server() -> None:
    """A poll that finds the server stopping does not wait."""
    from forebay.server.broadcast.long_polls import LongPolls

    class Watches:
        def watch(self, *_: object) -> int:
            raise AssertionError("it waits")

    async def wait() -> None:
        stopping = asyncio.Event()
        stopping.set()
        await LongPolls(Watches(), stopping).wait("logs", [], 30)  # type: ignore[arg-type]

    asyncio.run(wait())
