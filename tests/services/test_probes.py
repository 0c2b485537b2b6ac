"""Probes of a real Redis and a real PostgreSQL, which run, refuse, stand still and are gone; and of a real Kafka, where
FOREBAY_KAFKA_BOOTSTRAP names one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from forebay.server.infrastructure.dependency import dependencies
from forebay.server.infrastructure.names import Names
from forebay.server.infrastructure.probes.kinds import probe_of
from forebay.server.infrastructure.shapes import ServiceHealth
from forebay.server.infrastructure.watch import Watch
from support.postgresql import PostgresServer
from support.redis import RedisServer

KAFKA = "FOREBAY_KAFKA_BOOTSTRAP"

SHORT_MS = 300
"""For what does not answer."""


async def looked(kind: str, timeout_ms: int = 30_000, **where: Any) -> ServiceHealth:
    """What one probe finds."""
    limits = {"interval_seconds": 300, "timeout_ms": timeout_ms, "latency_limit_ms": 60_000}
    [(dependency, address)] = dependencies([{"name": "x", "kind": kind, **limits, **where}])
    watch = Watch(dependency, probe_of("dependency[0]", dependency, address, Names()))
    await watch.look()
    return watch.health


async def test_redis(new_redis: Callable[..., RedisServer]) -> None:
    server = new_redis(requirepass="s3cret~pass")
    url = f"redis://:s3cret%7Epass@127.0.0.1:{server.port}/0"
    assert (await looked("redis", url=url)).status == "healthy"
    assert (await looked("redis", url=url.replace(":s3", "default:s3"))).status == "healthy"
    refused = await looked("redis", url=url.replace("s3cret", "other"))
    assert (refused.status, refused.reason) == (
        "down",
        "AUTH was answered with '-WRONGPASS invalid username-password pair or user is disabled.'",
    )
    unknown = await looked("redis", url=f"redis://127.0.0.1:{server.port}")
    assert unknown.reason == "PING was answered with '-NOAUTH Authentication required.'"
    server.kill()
    assert (await looked("redis", url=url)).reason == "the connection failed: Connection refused"


async def test_postgresql(postgresql_server: PostgresServer) -> None:
    server = postgresql_server
    found = await looked("postgresql", url=server.url())
    assert found.status == "healthy", found.reason
    assert isinstance(found.query_latency_ms, float)
    assert found.connection_pool_usage_percent == 25, "its own session is one of four"
    refused = await looked("postgresql", url=server.url("other"))
    assert (refused.status, refused.reason) == ("down", 'no session: password authentication failed for user "ann"')


async def test_postgresql_whose_connections_are_taken(postgresql_server: PostgresServer) -> None:
    import asyncpg

    server = postgresql_server
    sessions = [await asyncpg.connect(server.url()) for _ in range(3)]
    try:
        found = await looked("postgresql", url=server.url(), pool_limit_percent=90)
        assert (found.status, found.connection_pool_usage_percent) == ("degraded", 100)
        assert found.reason == "100 % of its connections are taken, beyond 90 %"
        sessions.append(await asyncpg.connect(server.url()))
        found = await looked("postgresql", url=server.url())
        assert (found.status, found.reason) == ("down", "no session: sorry, too many clients already")
    finally:
        for session in sessions:
            await session.close()


async def test_postgresql_that_stands_still_and_is_gone(postgresql_server: PostgresServer) -> None:
    server = postgresql_server
    server.signal(signal.SIGSTOP)
    found = await looked("postgresql", SHORT_MS, url=server.url())
    assert (found.status, found.reason) == ("down", f"no answer within {SHORT_MS} ms")
    server.stop()
    assert (await looked("postgresql", url=server.url())).reason == "the connection failed: Connection refused"


@pytest.mark.skipif(KAFKA not in os.environ, reason=f"{KAFKA} names no broker")
async def test_kafka() -> None:
    host, _, port = os.environ[KAFKA].partition(",")[0].rpartition(":")
    found = await looked("kafka", host=host, port=int(port))
    assert found.status == "healthy", found.reason
    # Another protocol on the same port is told from it.
    assert (await looked("smtp", SHORT_MS, host=host, port=int(port))).status == "down"


async def test_probes_are_cut_off_with_their_task(postgresql_server: PostgresServer) -> None:
    """A stop of the server in the middle of a probe."""
    postgresql_server.signal(signal.SIGSTOP)
    task = asyncio.create_task(looked("postgresql", url=postgresql_server.url()))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
