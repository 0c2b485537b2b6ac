"""The checks together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from forebay.server.config import Settings
from forebay.server.health import Health
from server.health.scripted import World


def world(directory: Path, **settings: Any) -> World:
    return World(Settings(data_dir=str(directory), **settings))


def test_everybody_who_asks_at_once_gets_one_answer(tmp_path: Path) -> None:
    there = world(tmp_path)

    async def main() -> None:
        health = Health(there.context, there.clock)
        reports = await asyncio.gather(*(health.check() for _ in range(100)))
        assert all(report is reports[0] for report in reports)
        there.clock.now = 0.99
        assert await health.check() is reports[0]
        there.clock.now = 1.0
        assert await health.check() is not reports[0]

    asyncio.run(main())


def test_who_goes_away_does_not_take_the_answer_from_the_others(tmp_path: Path) -> None:
    there = world(tmp_path)

    async def main() -> None:
        health = Health(there.context, there.clock)
        first, second = asyncio.ensure_future(health.check()), asyncio.ensure_future(health.check())
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).summary.total == 7

    asyncio.run(main())


def test_statuses_add_up_and_transitions_are_logged_once(tmp_path: Path) -> None:
    there = world(tmp_path, health_recovery_seconds=10)

    async def main() -> list[str]:
        health = Health(there.context, there.clock)
        statuses: list[str] = []
        for now, mode in enumerate(("running", "full", "running", "full", *["running"] * 12)):
            there.clock.now = 2.0 * now
            there.engine.state |= {"mode": mode, "reason": "no space"}
            report = await health.check()
            assert health.status == report.status
            statuses.append(report.status)
            assert report.summary.total == 7
            assert report.summary.passing + report.summary.warning + report.summary.critical == 7
            assert report.summary.critical == (2 if report.status == "unhealthy" else 0)
        return statuses

    with capture_logs() as lines:
        statuses = asyncio.run(main())
    assert statuses == ["healthy"] + ["unhealthy"] * 8 + ["healthy"] * 7
    changes = [(line.get("check"), line["was"], line["now"], line["log_level"]) for line in lines]
    assert changes == [
        ("event_ingestion", "pass", "critical", "warning"),
        ("log_storage", "pass", "critical", "warning"),
        (None, "healthy", "unhealthy", "warning"),
        ("event_ingestion", "critical", "pass", "info"),
        ("log_storage", "critical", "pass", "info"),
        (None, "unhealthy", "healthy", "info"),
    ]


def test_a_warning_degrades(tmp_path: Path) -> None:
    there = world(tmp_path)
    there.engine.state["sealer_stuck"] = "why"
    report = asyncio.run(Health(there.context, there.clock).check())
    assert (report.status, report.summary.warning) == ("degraded", 1)


def test_a_status_that_is_held_says_so(tmp_path: Path) -> None:
    there = world(tmp_path)

    async def main() -> str:
        health = Health(there.context, there.clock)
        there.engine.state["sealer_stuck"] = "why"
        await health.check()
        there.engine.state["sealer_stuck"] = None
        there.clock.now = 2
        report = await health.check()
        assert report.status == "degraded"
        return next(check.message for check in report.checks if check.name == "log_storage")

    assert asyncio.run(main()).endswith("; recovering: stays 'warning' until it has passed for 15 seconds")


@pytest.mark.parametrize("mode", ["running", "poisoned"])
def test_before_the_first_check_it_is_what_the_log_says(tmp_path: Path, mode: str) -> None:
    there = world(tmp_path)
    there.engine.state["mode"] = mode
    expected = "healthy" if mode == "running" else "unhealthy"
    assert Health(there.context, there.clock).status == expected


def test_the_round_goes_on_until_the_server_stops(tmp_path: Path) -> None:
    there = world(tmp_path, health_interval_seconds=0.2)

    async def main() -> None:
        health = Health(there.context)
        stopping = asyncio.Event()
        round_ = asyncio.ensure_future(health.run(stopping))
        first = await health.check()
        for _ in range(400):
            if await health.check() is not first:
                break
            await asyncio.sleep(0.05)
        assert await health.check() is not first
        stopping.set()
        await asyncio.wait_for(round_, 20)

    asyncio.run(main())
