"""The views of analytics events, as the API shows them."""

from __future__ import annotations

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


class EventWindow(msgspec.Struct, rename="camel", frozen=True):
    """The analytics events of one minute, by event time. `uniqueUsers` and `uniqueSessions` are exact up to 2,048, and
    within about 1 % beyond."""

    window_start: str
    window_end: str
    total: Count = 0
    by_type: dict[str, int] = {}
    unique_users: Count = 0
    unique_sessions: Count = 0


class PerformanceWindow(msgspec.Struct, rename="camel", frozen=True):
    """The load times of one minute, in the unit in which they were sent. Percentiles are within 1 %. All are 0 when
    `count` is."""

    window_start: str
    window_end: str
    count: Count = 0
    avg: float = 0
    p50: float = 0
    p95: float = 0
    p99: float = 0


class TopEvent(msgspec.Struct, frozen=True):
    """A type of events, and how many there were."""

    type: str
    count: Count


class TopPage(msgspec.Struct, frozen=True):
    """A page by its URL, and how many events named it."""

    url: str
    count: Count


class LoadTime(msgspec.Struct, frozen=True):
    """Percentiles of the load time, within 1 %; 0 without any."""

    p50: float = 0
    p95: float = 0
    p99: float = 0


class HourWindow(msgspec.Struct, rename="camel", frozen=True):
    """The analytics events of one hour, by event time: the part of the overview that processors compute."""

    total: Count = 0
    active_users: Count = 0
    active_sessions: Count = 0
    top_events: list[TopEvent] = []
    top_pages: list[TopPage] = []
    load_time: LoadTime = LoadTime()


class Totals(msgspec.Struct, rename="camel", frozen=True):
    """What is kept: `total_events` since `since`, the event time of the first one, and the starts (milliseconds since
    1970 UTC) of the first window of each kind; None when there is none."""

    total_events: Count = 0
    since: str | None = None
    first_event_window: int | None = None
    first_performance_window: int | None = None


class Overview(msgspec.Struct, rename="camel", frozen=True):
    """Every event that is kept, and the clock's running hour, by event time. `eventsPerMinute` is the hour's rate until
    now."""

    total_events: Count
    events_per_minute: float
    active_users: Count
    active_sessions: Count
    top_events: list[TopEvent]
    top_pages: list[TopPage]
    load_time: LoadTime
    since: str | None
