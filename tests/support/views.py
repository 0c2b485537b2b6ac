"""Views with windows whose figures tell their start, and a server's half that publishes them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import msgspec

from forebay.cache.cache import Kind
from forebay.cache.redis.redis_cache import RedisCache
from forebay.cache.redis.shared_cache import SharedCache
from forebay.cache.shapes import HOUR_MS, MINUTE_MS, EventWindow, HourWindow, PerformanceWindow
from forebay.cache.times import rfc3339
from forebay.cache.views import Views
from forebay.errors import StorageUnavailable

DAY_MS = 24 * HOUR_MS
DAY_MINUTES = 1440
PATIENCE_SECONDS = 60.0
"""A bound for what hangs, no measure."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def this_minute() -> int:
    return now_ms() // MINUTE_MS * MINUTE_MS


def put_event(views: Views, start: int, total: int) -> None:
    window = EventWindow(rfc3339(start), rfc3339(start + MINUTE_MS), total, {"page_view": total}, 1, 1)
    views.put(Kind.EVENTS, start, msgspec.json.encode(window), now_ms())


def fill(views: Views, newest: int, minutes: int, total: int) -> None:
    """`minutes` of both kinds up to the newest, and their hours."""
    for start in range(newest, newest - minutes * MINUTE_MS, -MINUTE_MS):
        put_event(views, start, total)
        window = PerformanceWindow(rfc3339(start), rfc3339(start + MINUTE_MS), total, 1.5, 1, 2, 2.5)
        views.put(Kind.PERFORMANCE, start, msgspec.json.encode(window), now_ms())
        hour = start // HOUR_MS * HOUR_MS
        views.put(Kind.HOURS, hour, msgspec.json.encode(HourWindow(total * 60)), now_ms())
    views.count(total * minutes, rfc3339(newest - (minutes - 1) * MINUTE_MS))


async def eventually(what: str, holds: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} seconds"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def publishing(views: Views, url: str, prefix: str = "forebay") -> AsyncIterator[SharedCache]:
    """What a server does beside its requests; it stops cleanly."""
    cache = SharedCache(views, url, prefix)
    stopping = asyncio.Event()
    task = asyncio.create_task(cache.run(stopping))
    try:
        yield cache
    finally:
        stopping.set()
        await task
        await cache.close()


async def agree(views: Views, reader: RedisCache, minutes: int = 2 * DAY_MINUTES) -> None:
    """Waits until Redis has exactly the views, in the newest `minutes`."""
    newest = this_minute() + 2 * HOUR_MS
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        different = ["Redis is away"]
        with contextlib.suppress(StorageUnavailable):
            different = [
                kind.value
                for kind in Kind
                if await reader.windows(kind, newest - minutes * MINUTE_MS, newest)
                != views.windows(kind, newest - minutes * MINUTE_MS, newest)
            ]
            if await reader.totals() != views.totals():
                different.append("totals")
        if not different:
            return
        assert time.monotonic() < deadline, f"Redis has other views: {different}"
        await asyncio.sleep(0.05)
