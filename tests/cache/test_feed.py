"""What the engine's processors tell, read into the views: against a count by hand, over restarts."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forebay._forebay import Engine, ingest_routes
from forebay.cache.cache import Kind
from forebay.cache.feed import Feed
from forebay.cache.shapes import HOUR_MS, MINUTE_MS, EventWindow, HourWindow
from forebay.cache.views import Views
from forebay.server.config import Settings
from support.harness import wait_for

DAY_MS = 24 * HOUR_MS
LATENESS_MS = 10 * MINUTE_MS
BATCH = next(route for route in ingest_routes() if route.name == "track-batch")


class World:
    """An engine that is opened and closed, and the views of each of its lives."""

    def __init__(self, directory: Path) -> None:
        self._settings = Settings(data_dir=str(directory / "data"))
        self.begin()

    def begin(self) -> None:
        self.engine = Engine(self._settings.data_dir, self._settings.engine_options())
        self.views = Views(DAY_MS)
        self.feed = Feed(self.engine, self.views, LATENESS_MS)
        wait_for("the streams", lambda: any(row.name == "analytics" for row in self.engine.streams()))

    def track(self, events: list[dict[str, Any]]) -> None:
        answer: Future[tuple[int, bytes]] = Future()
        self.engine.submit(BATCH, json.dumps(events).encode(), answer)

        def is_answered() -> bool:
            self.engine.drain_completions()
            return answer.done()

        wait_for("the commit", is_answered)
        assert answer.result()[0] == 202

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        def stepped() -> bool:
            self.feed.step()
            return holds()

        wait_for(what, stepped)

    def until_total(self, total: int) -> None:
        self.until("all events", lambda: sum(window.total for window in self.events().values()) == total)

    def events(self) -> dict[int, EventWindow]:
        now = now_ms()
        found = self.views.windows(Kind.EVENTS, now - DAY_MS, now + HOUR_MS)
        return {start: msgspec.json.decode(body, type=EventWindow) for start, body in found.items()}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = World(tmp_path)
    yield made
    made.feed.stop()
    made.engine.close()


def test_nothing_is_made_before_the_first_event(world: World) -> None:
    before = world.feed.is_ready
    world.feed.step()
    assert (before, world.feed.is_ready) == (False, True)
    assert json.loads(world.engine.processors()) == []
    assert world.views.changes(0).windows == []


@pytest.mark.parametrize("seed", range(3))
def test_windows_are_what_a_count_by_hand_says_over_restarts(world: World, seed: int) -> None:
    chance = random.Random(seed)
    base = now_ms() - 5 * MINUTE_MS
    by_minute: dict[int, Counter[str]] = {}
    users: dict[int, set[str]] = {}
    total = 0
    for _life in range(3):
        for _batch in range(chance.randrange(1, 6)):
            events = []
            for _ in range(chance.randrange(1, 200)):
                # Within the bound of lateness, whatever the order.
                at = base + chance.randrange(5 * MINUTE_MS)
                kind, user = chance.choice("abc"), f"u{chance.randrange(50)}"
                events.append({"event": {"type": kind}, "user": {"id": user}, "timestamp": at})
                minute = at - at % MINUTE_MS
                by_minute.setdefault(minute, Counter())[kind] += 1
                users.setdefault(minute, set()).add(user)
            total += len(events)
            world.track(events)
            if chance.random() < 0.5:
                world.feed.step()
        if chance.random() < 0.7:
            world.until_total(total)
        world.engine.close()
        world.begin()
    world.until_total(total)
    found = world.events()
    assert {start: Counter(window.by_type) for start, window in found.items()} == by_minute
    assert {start: window.unique_users for start, window in found.items()} == {
        start: len(each) for start, each in users.items()
    }
    hours = world.views.windows(Kind.HOURS, base - HOUR_MS, now_ms())

    def hourly() -> int:
        bodies = world.views.windows(Kind.HOURS, base - HOUR_MS, now_ms()).values()
        return sum(msgspec.json.decode(body, type=HourWindow).total for body in bodies)

    world.until("the hours", lambda: hourly() == total)
    assert 1 <= len(hours) <= 2
    assert world.views.totals().total_events == total
    assert world.views.totals().first_event_window == min(by_minute)


def test_the_thread_ends_with_the_engine(world: World) -> None:
    world.feed.start()
    wait_for("readiness", lambda: world.feed.is_ready)
    world.track([{"event": {"type": "a"}}])
    wait_for("the event", lambda: sum(window.total for window in world.events().values()) == 1)
    world.engine.close()
    world.feed._thread.join(10)
    assert not world.feed._thread.is_alive()
    assert world.feed.problem is None


def test_it_is_ready_once_all_that_was_there_is_told(world: World) -> None:
    """Also when the process ended before the processors had seen it."""
    events = [{"event": {"type": "a"}, "timestamp": now_ms() - number % 60_000} for number in range(1000)]
    for _ in range(20):
        world.track(events)
    world.engine.close()
    world.begin()
    assert not world.feed.is_ready
    world.until("readiness", lambda: world.feed.is_ready)
    assert sum(window.total for window in world.events().values()) == 20_000


def test_a_paused_view_is_not_waited_for_and_is_named(world: World) -> None:
    world.track([{"event": {"type": "a"}}])
    world.until("readiness", lambda: world.feed.is_ready)
    assert world.feed.paused() == []
    world.engine.pause_processor("analytics.views.events")
    world.track([{"event": {"type": "a"}}])
    world.engine.close()
    world.begin()
    world.until("readiness", lambda: world.feed.is_ready)
    assert world.feed.paused() == ["analytics.views.events"]
    world.engine.resume_processor("analytics.views.events")
    world.until_total(2)
