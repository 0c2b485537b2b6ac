"""Figures that are shared, over an engine that counts how often it is asked."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from forebay.server.broadcast.live import SHARED_SECONDS, LiveMetrics


class Engine:
    def __init__(self) -> None:
        self.asked = 0
        self.told: list[str] = []
        self.problem: str | None = None

    def live(self) -> bytes:
        self.asked += 1
        return b"%d" % self.asked

    def set_health(self, status: str) -> None:
        self.told.append(status)

    def history_problem(self) -> str | None:
        return self.problem

    def history_skipped(self) -> int:
        return 3


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.status = "healthy"
        self.engine = Engine()
        self.live = LiveMetrics(self.engine, lambda: self.status, lambda: self.now)  # type: ignore[arg-type]


@pytest.fixture
def world() -> World:
    return World()


def test_readers_within_the_time_share_one_encoding(world: World) -> None:
    seen = []
    for _reading in range(100):
        world.now += 0.01
        seen.append(world.live.encoded())
    assert world.engine.asked in (20, 21)
    assert seen == sorted(seen, key=int)
    world.now += SHARED_SECONDS
    assert world.live.encoded() == b"%d" % world.engine.asked


def test_after_a_reset_nothing_old_is_shown(world: World) -> None:
    assert (world.live.encoded(), world.live.encoded()) == (b"1", b"1")
    world.live.forget()
    assert world.live.encoded() == b"2"


def test_the_engine_is_told_a_status_once(world: World) -> None:
    for status in ("healthy", "healthy", "degraded", "degraded", "healthy"):
        world.status = status
        world.live.watch()
    assert world.engine.told == ["healthy", "degraded", "healthy"]


def test_a_history_that_cannot_be_written_is_logged_once_a_turn(world: World) -> None:
    with capture_logs() as logs:
        for problem in (None, "the disk is full", "the disk is very full", None, None, "again"):
            world.engine.problem = problem
            world.live.watch()
    lines: list[Any] = [(line["log_level"], line.get("reason"), line.get("skipped")) for line in logs]
    assert lines == [("warning", "the disk is full", None), ("info", None, 3), ("warning", "again", None)]
