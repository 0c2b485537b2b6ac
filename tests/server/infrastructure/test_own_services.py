"""The services of the server itself, from its counters and its health checks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from forebay._forebay import error_table
from forebay.cache.cache import Health as CacheHealth
from forebay.server.health import Check, HealthReport, Summary
from forebay.server.infrastructure.own_services import Figures, OwnServices, figures, response_time

BOUNDS = [0.01, 0.1, 1.0]
NOTHING = Figures(BOUNDS, [0, 0, 0, 0], 0.0, 0, 0)


def report(**failing: str) -> HealthReport:
    """A report whose checks have these statuses; the others pass."""
    names = ("event_ingestion", "log_storage", "commit_latency", "system_resources")
    metadata: dict[str, dict[str, Any]] = {
        "log_storage": {"mode": "running", "sealBacklogFiles": 3},
        "system_resources": {"freeDiskBytes": 5 << 30},
    }
    checks = [
        Check(name, failing.get(name, "pass"), f"{name} says so", 1.0, 1_000, metadata.get(name, {}))  # type: ignore[arg-type]
        for name in names
    ]
    return HealthReport("healthy", 1_000, 1_000, "fsync", checks, Summary(4, 4, 0, 0))


def told(found: HealthReport | None, cache: CacheHealth = CacheHealth.EMBEDDED, *problems: str) -> list[dict[str, Any]]:
    own = OwnServices(lambda: found, 60.0)
    own.measured(NOTHING, cache, problems)
    shown: list[dict[str, Any]] = msgspec.to_builtins(own.services())
    return shown


def test_all_is_well() -> None:
    api, log, cache = told(report())
    assert [(each["name"], each["status"]) for each in (api, log, cache)] == [
        ("API Server", "healthy"),
        ("Log", "healthy"),
        ("Cache", "healthy"),
    ]
    assert api["response_time_ms"] == {"avg": 0.0, "p95": 0.0, "p99": 0.0}
    assert api["error_rate_percent"] == 0
    assert log["queue_backlog"] == 3
    assert (log["mode"], log["free_disk_bytes"]) == ("running", 5 << 30)
    assert not any("reason" in each for each in (api, log, cache))


def test_checks_that_fail_are_the_reason() -> None:
    api, log, _ = told(report(commit_latency="critical", log_storage="warning"))
    assert (api["status"], api["reason"]) == ("degraded", "commit_latency says so")
    assert (log["status"], log["reason"]) == ("degraded", "log_storage says so")


def test_a_server_that_takes_no_events_is_down() -> None:
    api, log, _ = told(report(event_ingestion="critical", log_storage="critical"))
    assert (api["status"], log["status"]) == ("down", "down")


def test_before_the_first_checks() -> None:
    api, log, _ = told(None)
    assert (api["status"], log["status"], log["reason"]) == ("healthy", "degraded", "it is not checked yet")


def test_a_check_without_an_end_has_no_figures() -> None:
    found = report()
    found.checks[1] = Check("log_storage", "critical", "no answer within 2000 ms", 2000.0, 1_000, {})
    found.checks[3] = Check("system_resources", "critical", "no answer within 2000 ms", 2000.0, 1_000, {})
    _, log, _ = told(found)
    assert log["status"] == "down"
    assert log.keys().isdisjoint({"queue_backlog", "mode", "free_disk_bytes"})


@pytest.mark.parametrize(
    ("cache", "problems", "status", "reason"),
    [
        (CacheHealth.REACHABLE, (), "healthy", None),
        (CacheHealth.REACHABLE, ("the views stand still",), "degraded", "the views stand still"),
        (CacheHealth.AWAY, ("start Redis",), "down", "start Redis"),
        (CacheHealth.AWAY, (), "down", "Redis does not answer, or does not take what is written"),
    ],
)
def test_the_cache(cache: CacheHealth, problems: tuple[str, ...], status: str, reason: str | None) -> None:
    shown = told(report(), cache, *problems)[2]
    assert (shown["status"], shown.get("reason")) == (status, reason)


def test_times_are_those_since_the_base() -> None:
    base = Figures(BOUNDS, [50, 50, 50, 50], 40.0, 50, 0)
    now = Figures(BOUNDS, [50, 140, 150, 150], 46.0, 150, 0)
    times = response_time(base, now)
    # Of 100 answers 90 took from 10 to 100 ms, and ten up to a second, evenly as far as can be known.
    assert (times.avg, times.p95, times.p99) == (60.0, 550.0, 910.0)
    assert response_time(now, now).avg == 0


def test_what_is_beyond_the_last_bound_is_shown_as_that() -> None:
    assert response_time(NOTHING, Figures(BOUNDS, [0, 0, 0, 10], 50.0, 10, 0)).p99 == 1000.0


def test_a_server_fails_by_what_it_cannot_take_and_not_by_what_is_wrong() -> None:
    names = {name for _, name, _, _ in error_table()}
    assert {"malformed_request", "storage_unavailable", "backpressure_triggered"} <= names
    metrics: list[tuple[str, str, str, list[tuple[dict[str, str], object]]]] = [
        ("forebay_ingest_ack_seconds", "", "histogram", [({}, (BOUNDS, [1, 1, 1, 1], 0.5))]),
        ("forebay_ingest_requests_total", "", "counter", [({"api": "a", "outcome": each}, 50.0) for each in "ab"]),
        (
            "forebay_ingest_refusals_total",
            "",
            "counter",
            [
                ({"code": "malformed_request"}, 7.0),
                ({"code": "storage_unavailable"}, 2.0),
                ({"code": "backpressure_triggered"}, 5.0),
            ],
        ),
        ("forebay_quota_refusals_total", "", "counter", [({}, 4.0)]),
    ]
    assert figures(metrics) == Figures(BOUNDS, [1, 1, 1, 1], 0.5, 100.0, 3.0)


def test_the_share_of_requests_that_failed() -> None:
    own = OwnServices(lambda: None, 60.0)
    own.measured(NOTHING, CacheHealth.EMBEDDED, [])
    own.measured(NOTHING._replace(requests=400, failed=1), CacheHealth.EMBEDDED, [])
    assert own.services()[0].error_rate_percent == 0.25
