"""The answers of the Cache API, made of what a cache has."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from forebay.cache.cache import Cache, Kind
from forebay.cache.shapes import HOUR_MS, MINUTE_MS, EventWindow, HourWindow, Overview, PerformanceWindow
from forebay.cache.times import rfc3339

W = TypeVar("W", EventWindow, PerformanceWindow)

MAX_WINDOWS = 1440
"""The most windows of an answer: those of a day."""


async def event_windows(cache: Cache, limit: int, now_ms: int) -> list[EventWindow | msgspec.Raw]:
    """The newest `limit` minutes, the running one first, back to the first that has events."""
    first = (await cache.totals()).first_event_window
    return await _minutes(cache, Kind.EVENTS, EventWindow, first, limit, now_ms)


async def performance_windows(cache: Cache, limit: int, now_ms: int) -> list[PerformanceWindow | msgspec.Raw]:
    """The newest `limit` minutes, the running one first, back to the first that has load times."""
    first = (await cache.totals()).first_performance_window
    return await _minutes(cache, Kind.PERFORMANCE, PerformanceWindow, first, limit, now_ms)


async def latest(cache: Cache, now_ms: int) -> EventWindow | msgspec.Raw:
    """The window of the running minute, with zeros when it has no events."""
    start = now_ms - now_ms % MINUTE_MS
    found = await cache.windows(Kind.EVENTS, start, start)
    return _window(EventWindow, start, found.get(start))


async def overview(cache: Cache, now_ms: int) -> Overview:
    """Every event that is kept, and the clock's running hour."""
    totals = await cache.totals()
    start = now_ms - now_ms % HOUR_MS
    body = (await cache.windows(Kind.HOURS, start, start)).get(start)
    hour = HourWindow() if body is None else msgspec.json.decode(body, type=HourWindow)
    return Overview(
        total_events=totals.total_events,
        # Of a part of a minute no rate can be told: the first minute of an hour counts as a whole one.
        events_per_minute=round(hour.total / max(1.0, (now_ms - start) / MINUTE_MS), 2),
        active_users=hour.active_users,
        active_sessions=hour.active_sessions,
        top_events=hour.top_events,
        top_pages=hour.top_pages,
        load_time=hour.load_time,
        since=totals.since,
    )


async def _minutes(
    cache: Cache, kind: Kind, shape: type[W], first: int | None, limit: int, now_ms: int
) -> list[W | msgspec.Raw]:
    running = now_ms - now_ms % MINUTE_MS
    if first is None or first > running:
        return []
    oldest = max(first, running - (limit - 1) * MINUTE_MS)
    found = await cache.windows(kind, oldest, running)
    return [_window(shape, start, found.get(start)) for start in range(running, oldest - 1, -MINUTE_MS)]


def _window(shape: type[W], start: int, body: bytes | None) -> W | msgspec.Raw:
    """A window, or its JSON: what is kept is not parsed to be written again."""
    if body is None:
        return shape(rfc3339(start), rfc3339(start + MINUTE_MS))
    return msgspec.Raw(body)
