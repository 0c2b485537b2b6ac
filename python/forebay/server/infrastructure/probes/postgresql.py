"""A session of PostgreSQL with `SELECT 1`, and how many of its connections are taken. It needs the package asyncpg."""

from __future__ import annotations

import asyncio
import importlib
import time
from typing import Any

from forebay.errors import ConfigError
from forebay.server.infrastructure.address import Address
from forebay.server.infrastructure.failure import ProbeFailed, plain
from forebay.server.infrastructure.names import Names
from forebay.server.infrastructure.probes.reply import Probe, Reply

MISSING = "needs the package asyncpg: pip install 'forebay[postgresql]'"

# Any user may read both columns; background workers have no database or no user. Of the connections, those kept for
# superusers are of no use to others: with them, few connections would never look taken before they are.
POOL = """
SELECT count(*), current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0)
FROM pg_stat_activity WHERE datid IS NOT NULL AND usesysid IS NOT NULL
"""

UNBOUNDED = 3600.0
"""Longer than any probe takes: whoever calls it sets the time, and asyncpg's own of a minute is none of it."""


def postgresql(place: str, url: str, address: Address, names: Names) -> Probe:
    """
    Raises:
        ConfigError: the package is not installed.
    """
    try:
        client: Any = importlib.import_module("asyncpg")
    except ImportError:
        raise ConfigError(f"{place} {MISSING}") from None
    refusals = (client.PostgresError, client.InterfaceError)

    async def probe() -> Reply:
        # The client looks the name up in threads that others need; what hangs does so here.
        await names.addresses(address.host)
        try:
            session = await client.connect(url, timeout=UNBOUNDED, command_timeout=UNBOUNDED)
        except refusals as error:
            raise ProbeFailed(f"no session: {plain(str(error))}") from None
        try:
            return await _measured(session)
        except refusals as error:
            raise ProbeFailed(f"a query failed: {plain(str(error))}") from None
        finally:
            await _end(session)

    return probe


async def _measured(session: Any) -> Reply:
    started = time.perf_counter()
    await session.fetchval("SELECT 1")
    query_ms = (time.perf_counter() - started) * 1000
    taken, limit = await session.fetchrow(POOL)
    return Reply(query_ms, min(100 * taken / max(limit, 1), 100.0))


async def _end(session: Any) -> None:
    """Says goodbye, so that the server logs no lost connection; a probe that has run out of time does not wait for
    that."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        session.terminate()
        return
    await session.close()
