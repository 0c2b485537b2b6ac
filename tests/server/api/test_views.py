"""The Cache API of the server, with the views in its own memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from forebay.cache.shapes import EventWindow, Overview, PerformanceWindow
from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, wait_for

MINUTE = 60_000
ZERO = {"total": 0, "byType": {}, "uniqueUsers": 0, "uniqueSessions": 0}
NO_LOAD = {"count": 0, "avg": 0, "p50": 0, "p95": 0, "p99": 0}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def tracked(kind: str, at: int, user: str | None = None, load: float | None = None, **context: str) -> dict[str, Any]:
    made: dict[str, Any] = {"event": {"type": kind}, "timestamp": at, "context": context}
    if user is not None:
        made["user"] = {"id": user}
    if load is not None:
        made["metrics"] = {"load_time": load}
    return made


def track(running: RunningServer, *events: dict[str, Any]) -> None:
    assert running.post("/v1/analytics/track/batch", list(events)).status_code == 202


def asked(running: RunningServer, path: str) -> Any:
    with running.client() as client:
        return client.get(path).raise_for_status().json()


def windows(running: RunningServer, kind: str = "event") -> dict[str, dict[str, Any]]:
    """A day's windows by their start."""
    return {row["windowStart"]: row for row in asked(running, f"/metrics/{kind}/windows?limit=1440")}


def start_of(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:00.000Z", time.gmtime(at // 1000))


def wait_for_total(running: RunningServer, total: int) -> None:
    wait_for("the events", lambda: sum(row["total"] for row in windows(running).values()) == total)


def test_before_the_first_event_there_is_nothing(server: Callable[..., RunningServer]) -> None:
    running = server()
    assert asked(running, "/healthz") == {"status": "ok", "redis": False, "cache": "embedded"}
    assert asked(running, "/readyz")["status"] == "ready"
    assert asked(running, "/metrics/event/windows") == []
    assert asked(running, "/metrics/performance/windows") == []
    latest = asked(running, "/metrics/event/latest")
    assert latest == {**ZERO, "windowStart": latest["windowStart"], "windowEnd": latest["windowEnd"]}
    assert asked(running, "/metrics/overview") == {
        "totalEvents": 0,
        "eventsPerMinute": 0,
        "activeUsers": 0,
        "activeSessions": 0,
        "topEvents": [],
        "topPages": [],
        "loadTime": {"p50": 0, "p95": 0, "p99": 0},
        "since": None,
    }
    assert asked(running, "/api/v1/processors") == {"processors": []}, "who tracks nothing pays for nothing"


def test_windows_are_there_at_once_late_events_change_theirs_and_a_restart_changes_nothing(
    server: Callable[..., RunningServer],
) -> None:
    running = server(views_lateness_ms=3_600_000)
    now = now_ms()
    before = now - 3 * MINUTE
    track(
        running,
        tracked("page_view", now, "ann", 250, url="/", session_id="s1"),
        tracked("page_view", now, "bob", 90.5, url="/buy", session_id="s2"),
        tracked("click", now, "bob", None, url="/buy", session_id="s2"),
        tracked("page_view", before, None, session_id="s3"),
    )
    wait_for_total(running, 4)
    shown = windows(running)
    assert msgspec.convert(list(shown.values()), list[EventWindow])
    assert {**shown[start_of(now)], "windowStart": 0, "windowEnd": 0} == {
        "windowStart": 0,
        "windowEnd": 0,
        "total": 3,
        "byType": {"page_view": 2, "click": 1},
        "uniqueUsers": 2,
        "uniqueSessions": 2,
    }
    # Minutes without events stand between those that have some, and nothing before the first.
    assert list(shown) == sorted(shown, reverse=True)
    assert list(shown)[-1] == start_of(before)
    assert shown[start_of(before + MINUTE)] == {
        **ZERO,
        "windowStart": start_of(before + MINUTE),
        "windowEnd": start_of(before + 2 * MINUTE),
    }
    wait_for("load times", lambda: sum(row["count"] for row in windows(running, "performance").values()) == 2)
    loads = windows(running, "performance")
    assert msgspec.convert(list(loads.values()), list[PerformanceWindow])
    assert (loads[start_of(now)]["avg"], list(loads)[-1]) == (170.25, start_of(now))
    assert 89 < loads[start_of(now)]["p50"] < 92
    assert 247 < loads[start_of(now)]["p99"] < 253
    track(running, tracked("click", before, "cat"))
    wait_for_total(running, 5)
    late = windows(running)[start_of(before)]
    assert (late["total"], late["byType"], late["uniqueUsers"]) == (2, {"page_view": 1, "click": 1}, 1)

    def settled() -> bool:
        return bool(asked(running, "/metrics/overview")["totalEvents"] == 5)

    wait_for("the total", settled)
    overview = asked(running, "/metrics/overview")
    assert msgspec.convert(overview, Overview).since is not None
    complete = windows(running), windows(running, "performance")
    assert running.terminate() == 0
    again = server(views_lateness_ms=3_600_000)
    with again.client() as client:
        wait_for("the views", lambda: client.get("/readyz").status_code == 200)
    for kind, old in zip(("event", "performance"), complete, strict=True):
        new = windows(again, kind)
        # The clock went on meanwhile; what has events is as it was.
        assert {start: row for start, row in new.items() if start in old} == old
        assert all(not row.get("total", row.get("count")) for start, row in new.items() if start not in old)
    assert asked(again, "/metrics/overview")["since"] == overview["since"]
    track(again, tracked("click", now, "dan"))
    wait_for_total(again, 6)
    assert windows(again)[start_of(now)]["byType"] == {"page_view": 2, "click": 2}


def test_the_overview_is_of_the_running_hour(server: Callable[..., RunningServer]) -> None:
    running = server()
    now = now_ms()
    hour = now - now % (60 * MINUTE)
    at = max(hour, now - MINUTE)
    events = [tracked("page_view", at, f"u{number % 30}", number, url=f"/{number % 15}") for number in range(1, 101)]
    track(running, *events, tracked("old", hour - 1, "other", 10_000, url="/old"))
    wait_for("the hour", lambda: asked(running, "/metrics/overview")["activeUsers"] == 30)
    shown = asked(running, "/metrics/overview")
    if now_ms() - now_ms() % (60 * MINUTE) != hour:
        pytest.skip("the hour has just ended")
    assert shown["topEvents"] == [{"type": "page_view", "count": 100}]
    assert len(shown["topPages"]) == 10
    assert shown["topPages"][0] == {"url": "/1", "count": 7}
    assert 49 < shown["loadTime"]["p50"] < 51
    assert shown["totalEvents"] == 101
    assert 100 / 60 <= shown["eventsPerMinute"] <= 100


def test_what_is_wrong_is_refused(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        for path in ("event", "performance"):
            for limit in ("0", "1441", "x", "-1"):
                answer = client.get(f"/metrics/{path}/windows?limit={limit}")
                assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert client.get("/metrics/overview?limit=1").status_code == 400
        assert client.post("/metrics/overview").status_code == 405


def test_reading_needs_the_role(server: Callable[..., RunningServer], tmp_path: Any) -> None:
    running = server(auth=True)
    store = TokenStore(str(tmp_path / "data"))
    secrets = {role: store.create(role, [role]) for role in ("read", "ingest")}
    reading = {"authorization": secrets["read"]}
    with running.client() as client:
        wait_for("the token", lambda: client.get("/metrics/overview", headers=reading).is_success)
        sending = {"authorization": secrets["ingest"]}
        wait_for("the other", lambda: client.get("/metrics/overview", headers=sending).status_code == 403)
        for path in ("/metrics/overview", "/metrics/event/latest", "/metrics/event/windows"):
            assert client.get(path, headers=reading).status_code == 200
            assert client.get(path, headers={"authorization": secrets["ingest"]}).status_code == 403
            assert client.get(path, headers={"authorization": "nobody"}).status_code == 401
        assert client.get("/healthz", headers={"authorization": ""}).status_code == 200


def test_the_processors_of_the_views_are_the_engines_own(server: Callable[..., RunningServer]) -> None:
    running = server()
    track(running, tracked("click", now_ms()))
    wait_for_total(running, 1)
    names = [row["name"] for row in asked(running, "/api/v1/processors")["processors"]]
    assert names == ["analytics.views.events", "analytics.views.hours", "analytics.views.performance"]
    with running.client() as client:
        assert client.delete("/api/v1/processors/analytics.views.events").status_code == 403
        assert client.delete("/api/v1/streams/analytics.views.events").status_code == 403
        publish = client.post("/api/v1/streams/analytics.views.events/events", json={"value": {"count": 1}})
        assert publish.status_code == 403
        assert client.post("/api/v1/processors/analytics.views.events/pause").status_code == 200
        track(running, tracked("click", now_ms()))
        assert client.post("/api/v1/processors/analytics.views.events/resume").status_code == 200
    wait_for_total(running, 2)
