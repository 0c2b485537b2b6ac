"""The windows in memory, and what is answered with them."""

from __future__ import annotations

import asyncio

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from forebay.cache import answers
from forebay.cache.cache import Health, Kind
from forebay.cache.embedded import EmbeddedCache
from forebay.cache.results import event_window, hour_window, performance_window
from forebay.cache.shapes import HOUR_MS, MINUTE_MS, EventWindow, HourWindow, LoadTime, TopEvent, TopPage
from forebay.cache.times import rfc3339
from forebay.cache.views import Views

DAY_MS = 24 * HOUR_MS
NOW = 1_767_225_600_000 + 12 * HOUR_MS + 34 * MINUTE_MS + 5_000
"""2026-01-01T12:34:05Z."""
RUNNING = NOW - NOW % MINUTE_MS

HOUR = (
    b'{"windowStart":"x","count":7,"count_distinct_user.id":3,"count_distinct_context.session_id":2,'
    b'"p50_metrics.load_time":null,"p95_metrics.load_time":null,"p99_metrics.load_time":null,'
    b'"top_event.type":[{"value":"a","count":4},{"value":"b","count":3}],"top_context.url":[{"value":17,"count":1}]}'
)


def body(start: int, total: int = 1) -> bytes:
    return msgspec.json.encode(EventWindow(rfc3339(start), rfc3339(start + MINUTE_MS), total))


def windows(cache: EmbeddedCache, limit: int, now_ms: int) -> list[EventWindow]:
    found = msgspec.json.encode(asyncio.run(answers.event_windows(cache, limit, now_ms)))
    return msgspec.json.decode(found, type=list[EventWindow])


def latest(cache: EmbeddedCache, now_ms: int) -> EventWindow:
    return msgspec.json.decode(msgspec.json.encode(asyncio.run(answers.latest(cache, now_ms))), type=EventWindow)


def test_results_become_the_shapes_of_the_api() -> None:
    result = (
        b'{"windowStart":"x","windowEnd":"y","key":null,"count":3,"count_distinct_user.id":2,'
        b'"count_distinct_context.session_id":1,"top_event.type":[{"value":"a","count":2},{"value":"b","count":1}],'
        b'"final":false}'
    )
    assert msgspec.to_builtins(event_window(result, RUNNING)) == {
        "windowStart": "2026-01-01T12:34:00.000Z",
        "windowEnd": "2026-01-01T12:35:00.000Z",
        "total": 3,
        "byType": {"a": 2, "b": 1},
        "uniqueUsers": 2,
        "uniqueSessions": 1,
    }
    load = (
        b'{"count":2,"avg_metrics.load_time":1.5,"p50_metrics.load_time":1,"p95_metrics.load_time":2.0,'
        b'"p99_metrics.load_time":null}'
    )
    shown = performance_window(load, RUNNING)
    assert (shown.count, shown.avg, shown.p50, shown.p95, shown.p99) == (2, 1.5, 1, 2, 0)
    assert hour_window(HOUR, RUNNING) == HourWindow(
        7, 3, 2, [TopEvent("a", 4), TopEvent("b", 3)], [TopPage("17", 1)], LoadTime()
    )


def test_the_overview_has_the_running_hour_alone() -> None:
    views = Views(DAY_MS)
    hour = NOW - NOW % HOUR_MS
    views.put(Kind.HOURS, hour, msgspec.json.encode(hour_window(HOUR, hour)), NOW)
    views.count(9, rfc3339(hour - 1))
    cache = EmbeddedCache(views)
    shown = asyncio.run(answers.overview(cache, NOW))
    assert (shown.total_events, shown.since, shown.active_users) == (9, "2026-01-01T11:59:59.999Z", 3)
    assert shown.events_per_minute == round(7 / (34 + 5 / 60), 2)
    # Within the first minute the rate is that of a whole one.
    assert asyncio.run(answers.overview(cache, hour + 1)).events_per_minute == 7
    after = asyncio.run(answers.overview(cache, hour + HOUR_MS))
    assert (after.total_events, after.events_per_minute, after.active_users, after.top_pages) == (9, 0, 0, [])
    assert asyncio.run(cache.health()) is Health.EMBEDDED


def test_windows_go_back_to_the_first_and_no_further_than_the_retention() -> None:
    views = Views(2 * HOUR_MS)
    cache = EmbeddedCache(views)
    oldest = RUNNING - 2 * HOUR_MS
    for start in (oldest - 10 * MINUTE_MS, oldest, RUNNING - 3 * MINUTE_MS, RUNNING + 5 * MINUTE_MS):
        views.put(Kind.EVENTS, start, body(start), NOW)
    views.count(0, None)
    shown = windows(cache, 1440, NOW)
    # What is dated in the future is shown when its time has come.
    assert (shown[0].window_start, shown[-1].window_start) == (rfc3339(RUNNING), rfc3339(oldest))
    assert len(shown) == 121
    assert [window.total for window in shown if window.total] == [1, 1]
    assert len(windows(cache, 3, NOW)) == 3
    assert latest(cache, NOW).total == 0
    assert latest(cache, NOW + 5 * MINUTE_MS).total == 1
    views.expire(NOW + HOUR_MS)
    views.count(0, None)
    assert views.totals().first_event_window == RUNNING - 3 * MINUTE_MS
    views.expire(NOW + DAY_MS)
    views.count(0, None)
    assert windows(cache, 20, NOW + DAY_MS) == []


@given(
    st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 200), st.integers(0, 9)), max_size=60), st.integers(0, 60)
)
def test_changes_are_complete_and_the_newest_of_each(puts: list[tuple[Kind, int, int]], seen: int) -> None:
    views = Views(DAY_MS)
    mirror: dict[tuple[Kind, int], bytes] = {}
    version = 0
    wanted: dict[tuple[Kind, int], bytes] = {}
    for number, (kind, back, value) in enumerate(puts):
        start = RUNNING - RUNNING % kind.length_ms - back * kind.length_ms
        views.put(kind, start, b"%d" % value, NOW)
        if start >= NOW - DAY_MS - kind.length_ms + 1:
            wanted[kind, start] = b"%d" % value
        if number == seen:
            changes = views.changes(version)
            version = changes.version
            mirror.update({(window.kind, window.start_ms): window.body for window in changes.windows})
            assert mirror == wanted
    mirror.update({(window.kind, window.start_ms): window.body for window in views.changes(version).windows})
    assert mirror == wanted
    assert {(window.kind, window.start_ms): window.body for window in views.changes(0).windows} == wanted
    for kind in Kind:
        found = views.windows(kind, RUNNING - DAY_MS, RUNNING)
        assert found == {
            start: each for (of, start), each in wanted.items() if of is kind and start >= RUNNING - DAY_MS
        }
