"""What the processors behind the views tell, turned into the shapes of the API.

Their definitions are in the engine (`rust/forebay-core/src/processor/views.rs`), and so are the names of the results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from forebay.cache.cache import Kind
from forebay.cache.shapes import EventWindow, HourWindow, LoadTime, PerformanceWindow, TopEvent, TopPage
from forebay.cache.times import rfc3339

MAX_TYPE_BYTES = 8 << 10
"""The most bytes of the types of one minute."""

TOP = 10
"""The most event types and pages of the overview."""


class Counted(msgspec.Struct):
    """A value and how often it was there. Values are those that were sent, mostly texts."""

    value: Any
    count: int

    @property
    def text(self) -> str:
        return self.value if isinstance(self.value, str) else msgspec.json.encode(self.value).decode()


class EventResult(msgspec.Struct):
    """A result of `analytics.views.events`."""

    count: int
    users: int = msgspec.field(name="count_distinct_user.id")
    sessions: int = msgspec.field(name="count_distinct_context.session_id")
    types: list[Counted] = msgspec.field(name="top_event.type")


class PerformanceResult(msgspec.Struct):
    """A result of `analytics.views.performance`."""

    count: int
    avg: float | None = msgspec.field(name="avg_metrics.load_time")
    p50: float | None = msgspec.field(name="p50_metrics.load_time")
    p95: float | None = msgspec.field(name="p95_metrics.load_time")
    p99: float | None = msgspec.field(name="p99_metrics.load_time")


class HourResult(msgspec.Struct):
    """A result of `analytics.views.hours`."""

    count: int
    users: int = msgspec.field(name="count_distinct_user.id")
    sessions: int = msgspec.field(name="count_distinct_context.session_id")
    p50: float | None = msgspec.field(name="p50_metrics.load_time")
    p95: float | None = msgspec.field(name="p95_metrics.load_time")
    p99: float | None = msgspec.field(name="p99_metrics.load_time")
    types: list[Counted] = msgspec.field(name="top_event.type")
    pages: list[Counted] = msgspec.field(name="top_context.url")


def event_window(result: bytes, start_ms: int) -> EventWindow:
    """A minute's events."""
    found = _EVENTS.decode(result)
    by_type, size = {}, 0
    for each in found.types:
        # Senders choose the types, and an answer has up to 1,440 windows.
        size += len(each.text.encode())
        if size > MAX_TYPE_BYTES:
            break
        by_type[each.text] = each.count
    return EventWindow(*_times(Kind.EVENTS, start_ms), found.count, by_type, found.users, found.sessions)


def performance_window(result: bytes, start_ms: int) -> PerformanceWindow:
    """A minute's load times."""
    found = _PERFORMANCE.decode(result)
    numbers = (each or 0 for each in (found.avg, found.p50, found.p95, found.p99))
    return PerformanceWindow(*_times(Kind.PERFORMANCE, start_ms), found.count, *numbers)


def hour_window(result: bytes, _start_ms: int) -> HourWindow:
    """An hour's part of the overview."""
    found = _HOURS.decode(result)
    return HourWindow(
        total=found.count,
        active_users=found.users,
        active_sessions=found.sessions,
        top_events=[TopEvent(each.text, each.count) for each in found.types[:TOP]],
        top_pages=[TopPage(each.text, each.count) for each in found.pages[:TOP]],
        load_time=LoadTime(*(each or 0 for each in (found.p50, found.p95, found.p99))),
    )


def _times(kind: Kind, start_ms: int) -> tuple[str, str]:
    return rfc3339(start_ms), rfc3339(start_ms + kind.length_ms)


_EVENTS = msgspec.json.Decoder(EventResult)
_PERFORMANCE = msgspec.json.Decoder(PerformanceResult)
_HOURS = msgspec.json.Decoder(HourResult)


@dataclass(slots=True, frozen=True)
class View:
    """A kind of windows: the stream of its results, and what becomes of one that begins at a time."""

    kind: Kind
    stream: str
    shaped: Callable[[bytes, int], msgspec.Struct]


VIEWS = (
    View(Kind.EVENTS, "analytics.views.events", event_window),
    View(Kind.PERFORMANCE, "analytics.views.performance", performance_window),
    View(Kind.HOURS, "analytics.views.hours", hour_window),
)
