"""What the probes of a dependency say of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from forebay.server.infrastructure.dependency import dependencies
from forebay.server.infrastructure.failure import ProbeFailed
from forebay.server.infrastructure.names import Names
from forebay.server.infrastructure.probes.kinds import probe_of
from forebay.server.infrastructure.probes.reply import Reply
from forebay.server.infrastructure.samples import KEPT, Samples
from forebay.server.infrastructure.shapes import ServiceHealth
from forebay.server.infrastructure.watch import Watch
from support.talker import Talk, Talker, saying

GREETING = saying(b"220 ready\r\n", b"221 bye\r\n")


class Scripted:
    """A dependency whose probe does as it is told."""

    def __init__(self, **settings: Any) -> None:
        [(dependency, _)] = dependencies([{"name": "x", "kind": "tcp", "host": "a", "port": 1, **settings}])
        self.seconds = 0.0
        self.failure: Exception | None = None
        self.reply = Reply()
        self.waiting: int | None = None
        self.watch = Watch(dependency, self._probe, lambda _queue: self.waiting)

    async def _probe(self) -> Reply:
        await asyncio.sleep(self.seconds)
        if self.failure is not None:
            raise self.failure
        return self.reply

    def looked(self, times: int = 1) -> ServiceHealth:
        async def look() -> None:
            for _ in range(times):
                await self.watch.look()

        asyncio.run(look())
        return self.watch.health


def test_before_the_first_probe_nothing_is_promised() -> None:
    health = Scripted().watch.health
    assert msgspec.to_builtins(health) == {
        "name": "x",
        "kind": "tcp",
        "status": "degraded",
        "checked_at": None,
        "reason": "it is not probed yet",
    }


def test_it_is_down_with_the_first_failure_and_back_with_the_first_answer() -> None:
    scripted = Scripted(error_limit_percent=60)
    assert scripted.looked().status == "healthy"
    scripted.failure = ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 1)")
    health = scripted.looked()
    assert (health.status, health.reason) == ("down", "the connection failed: Connection refused")
    assert health.error_rate_percent == 50
    scripted.failure = None
    health = scripted.looked()
    assert (health.status, health.reason) == ("healthy", msgspec.UNSET)
    assert health.error_rate_percent == pytest.approx(33.333)


def test_it_is_degraded_beyond_its_limit_of_errors() -> None:
    scripted = Scripted(error_limit_percent=10)
    scripted.failure = ProbeFailed("it answered 503")
    scripted.looked()
    scripted.failure = None
    health = scripted.looked(4)
    assert (health.status, health.reason) == ("degraded", "20.0 % of its last probes failed, beyond 10 %")
    assert scripted.looked(5).status == "healthy"


def test_it_is_degraded_beyond_its_limit_of_latency() -> None:
    scripted = Scripted(latency_limit_ms=20)
    scripted.seconds = 0.05
    health = scripted.looked()
    assert health.status == "degraded"
    assert isinstance(health.reason, str)
    assert health.reason.startswith("p95 of its answers is ")
    assert isinstance(health.response_time_ms, msgspec.Struct)
    assert health.response_time_ms.p95 >= 50


def test_a_probe_that_hangs_ends_with_its_timeout() -> None:
    scripted = Scripted(timeout_ms=50)
    scripted.seconds = 3600
    assert scripted.looked().reason == "no answer within 50 ms"


def test_whatever_a_client_raises_is_a_failure() -> None:
    scripted = Scripted()
    scripted.failure = RuntimeError("boom")
    assert scripted.looked().reason == "RuntimeError: boom"


def test_figures_of_a_database_and_of_a_queue() -> None:
    scripted = Scripted(queue="email-sending", backlog_limit=100, pool_limit_percent=80)
    scripted.reply, scripted.waiting = Reply(8.12345, 45.0), 100
    health = scripted.looked()
    assert health.status == "healthy"
    assert (health.query_latency_ms, health.connection_pool_usage_percent, health.queue_backlog) == (8.123, 45.0, 100)
    scripted.reply, scripted.waiting = Reply(8.0, 81.0), 101
    assert (
        scripted.looked().reason
        == "81 % of its connections are taken, beyond 80 %; 101 jobs of email-sending wait, beyond 100"
    )


def test_percentiles_are_of_the_last_probes() -> None:
    samples = Samples()
    for milliseconds in range(1, 1001):
        samples.add(float(milliseconds))
    times = samples.response_time
    assert times is not None
    first = 1000 - KEPT
    assert (times.avg, times.p95, times.p99) == (first + (KEPT + 1) / 2, first + KEPT * 0.95, 1000.0)
    assert samples.error_percent() == 0


def test_a_server_that_breaks_is_down_within_the_interval(talker: Callable[[Talk | None], Talker]) -> None:
    """A real server, which first answers, then takes connections and says nothing, and is gone in the end."""
    server = talker(GREETING)
    where = {"host": "127.0.0.1", "port": server.port, "interval_seconds": 0.6, "timeout_ms": 200}
    [(dependency, address)] = dependencies([{"name": "Mail", "kind": "smtp", **where}])
    watch = Watch(dependency, probe_of("dependency[0]", dependency, address, Names()))

    async def until(reason: object) -> None:
        deadline = time.monotonic() + 60
        while watch.health.reason != reason:
            assert time.monotonic() < deadline, watch.health
            await asyncio.sleep(0.005)

    async def live() -> None:
        stopping = asyncio.Event()
        running = asyncio.create_task(watch.run(stopping))
        await until(msgspec.UNSET)
        server.talk = lambda connection: server.silent(connection)
        await until("no answer within 200 ms")
        server.close()
        await until("the connection failed: Connection refused")
        stopping.set()
        await running

    asyncio.run(live())
