"""Two servers and one Redis: one of them writes at a time, and the other one goes on within ten seconds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.cache.cache import Health, Kind
from forebay.cache.redis.connection import Connection
from forebay.cache.redis.layout import Layout
from forebay.cache.redis.publisher import Publisher, Role
from forebay.cache.redis.shared_cache import SharedCache
from forebay.cache.shapes import HOUR_MS, MINUTE_MS
from forebay.cache.views import Views
from support.redis import RedisServer
from support.views import DAY_MS, agree, eventually, fill, now_ms, publishing, put_event, this_minute

pytestmark = pytest.mark.slow

TAKEOVER_SECONDS = 10.0

TESTS = Path(__file__).parent.parent


@contextlib.contextmanager
def other_server(url: str, minutes: int, total: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "support.publishing_process", url, str(minutes), str(total)],
            stdout=output,
            env=os.environ | {"PYTHONPATH": str(TESTS)},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(60)


def writer(redis_server: RedisServer) -> str:
    return redis_server.ask("HGET", Layout().totals, "writer") or ""


def roles(log: Path) -> list[str]:
    return log.read_text().split()


async def holds(log: Path, role: Role) -> None:
    await eventually(f"the other one is {role.value}", lambda: roles(log)[-1:] == [role.value])


async def test_after_a_kill_the_other_one_publishes_its_own(redis_server: RedisServer, tmp_path: Path) -> None:
    views = Views(DAY_MS)
    fill(views, this_minute(), 300, 2)
    log = tmp_path / "roles"
    # It has hours that the other one does not have, and minutes in hours that both have.
    with other_server(redis_server.url, 590, 1, log) as process:
        await holds(log, Role.HOLDER)
        await eventually("its oldest window is there", lambda: other_has_published(redis_server, this_minute(), 580))
        async with publishing(views, redis_server.url) as cache:
            await eventually("it stands by", lambda: cache.state.role is Role.STANDBY)
            minute = this_minute()
            await cache.as_of(now_ms())
            shown = await cache.windows(Kind.EVENTS, minute - 400 * MINUTE_MS, minute)
            assert len(shown) > 300, "while the other one writes, its views are answered"
            process.kill()
            killed = time.monotonic()
            await eventually("it takes over", lambda: cache.state.role is Role.HOLDER)
            assert time.monotonic() - killed < TAKEOVER_SECONDS
            await agree(views, cache.reader)
            assert await cache.health() is Health.REACHABLE


def other_has_published(redis_server: RedisServer, minute: int, minutes: int) -> bool:
    return bool(redis_server.ask("EXISTS", Layout().windows(Kind.EVENTS, minute - minutes * MINUTE_MS)))


async def test_a_server_that_was_stopped_past_its_lease_writes_nothing(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    views = Views(DAY_MS)
    fill(views, this_minute(), 30, 2)
    log = tmp_path / "roles"
    with other_server(redis_server.url, 30, 1, log) as process:
        await holds(log, Role.HOLDER)
        async with publishing(views, redis_server.url) as cache:
            await eventually("it stands by", lambda: cache.state.role is Role.STANDBY)
            process.send_signal(signal.SIGSTOP)
            await eventually("it takes over", lambda: cache.state.role is Role.HOLDER)
            await agree(views, cache.reader)
            ours = writer(redis_server)
            process.send_signal(signal.SIGCONT)
            await holds(log, Role.STANDBY)
            for _ in range(20):
                await asyncio.sleep(0.05)
                assert writer(redis_server) == ours
                await agree(views, cache.reader)
        # A clean stop gives the lease to the other one, which then writes again.
        stopped = time.monotonic()
        await holds(log, Role.HOLDER)
        assert time.monotonic() - stopped < TAKEOVER_SECONDS
        await eventually("it writes", lambda: writer(redis_server) != ours)
        process.terminate()
        assert process.wait(60) == 0
    assert redis_server.ask("EXISTS", Layout().lease) == 0


def publisher(views: Views, redis_server: RedisServer, seconds: float = 60.0) -> Publisher:
    return Publisher(views, Connection(redis_server.url, 1), Layout(), lease_seconds=seconds)


async def stepped(of: Publisher) -> None:
    """Steps until nothing waits."""
    while True:
        await of.step()
        if not of.state.waiting:
            return
        await asyncio.sleep(0.02)


async def test_a_late_write_finds_the_lease_gone(redis_server: RedisServer) -> None:
    ours, theirs = Views(DAY_MS), Views(DAY_MS)
    minute = this_minute()
    put_event(ours, minute, 1)
    put_event(theirs, minute, 2)
    one, other = publisher(ours, redis_server), publisher(theirs, redis_server)
    await stepped(one)
    await other.step()
    assert (one.role, other.role) == (Role.HOLDER, Role.STANDBY)
    redis_server.ask("DEL", Layout().lease)
    await other.step()
    assert other.role is Role.HOLDER
    kept = redis_server.ask("HGETALL", Layout().windows(Kind.EVENTS, minute))
    assert '"total":2' in str(kept)
    put_event(ours, minute, 3)
    put_event(ours, minute - 2 * HOUR_MS, 3)
    for _ in range(3):
        await one.step()
    assert one.role is Role.STANDBY
    assert redis_server.ask("HGETALL", Layout().windows(Kind.EVENTS, minute)) == kept
    assert not redis_server.ask("EXISTS", Layout().windows(Kind.EVENTS, minute - 2 * HOUR_MS))
    for each in (one, other):
        await each.close()


async def test_each_lease_has_a_greater_number(redis_server: RedisServer) -> None:
    numbers = []
    for _ in range(3):
        one = publisher(Views(DAY_MS), redis_server)
        await one.step()
        numbers.append(int(redis_server.ask("HGET", Layout().totals, "fence")))
        await one.close()
    assert numbers == sorted(set(numbers))


async def test_a_lease_ends_by_itself(redis_server: RedisServer) -> None:
    one = publisher(Views(DAY_MS), redis_server, seconds=0.2)
    other = publisher(Views(DAY_MS), redis_server)
    await one.step()

    async def taken() -> bool:
        await other.step()
        return other.role is Role.HOLDER

    deadline = time.monotonic() + TAKEOVER_SECONDS
    while not await taken():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    await one.step()
    await one.step()
    assert one.role is Role.STANDBY
    for each in (one, other):
        await each.close()


async def test_a_lease_whose_answer_was_lost_is_ones_own(redis_server: RedisServer) -> None:
    one = publisher(Views(DAY_MS), redis_server)
    await one.step()
    value = redis_server.ask("GET", Layout().lease)
    one._lease.lost()
    await one.step()
    assert one.role is Role.HOLDER
    assert redis_server.ask("GET", Layout().lease) == value
    await one.close()


async def test_a_server_that_stands_by_answers_itself_while_redis_is_away(redis_server: RedisServer) -> None:
    ours, theirs = Views(DAY_MS), Views(DAY_MS)
    fill(ours, this_minute(), 3, 1)
    async with publishing(ours, redis_server.url) as holder:
        await agree(ours, holder.reader)
        async with publishing(theirs, redis_server.url) as cache:
            await eventually("it stands by", lambda: cache.state.role is Role.STANDBY)
            await cache.as_of(now_ms())
            assert (await cache.totals()).total_events == 3
            redis_server.kill()
            now = now_ms()
            assert await cache.as_of(now) == now
            assert (await cache.totals()).total_events == 0, "those are its own"
            assert await cache.windows(Kind.EVENTS, this_minute() - HOUR_MS, this_minute()) == {}
            assert await cache.health() is Health.AWAY


async def test_who_holds_the_lease_and_publishes_no_more_is_not_waited_for(redis_server: RedisServer) -> None:
    ours, theirs = Views(DAY_MS), Views(DAY_MS)
    fill(ours, this_minute(), 3, 1)
    fill(theirs, this_minute(), 5, 1)
    async with publishing(ours, redis_server.url) as holder:
        await agree(ours, holder.reader)
        async with publishing(theirs, redis_server.url) as cache:
            await eventually("it stands by", lambda: cache.state.role is Role.STANDBY)
            # By a clock of a minute later, the holder has been silent since.
            later = now_ms() + MINUTE_MS
            assert await cache.as_of(later) == later
            assert (await cache.totals()).total_events == 5
            assert await cache.as_of(now_ms()) <= now_ms()
            assert (await cache.totals()).total_events == 3


async def test_a_server_that_never_reached_redis_answers_itself(redis_server: RedisServer) -> None:
    redis_server.kill()
    views = Views(DAY_MS)
    put_event(views, this_minute(), 1)
    cache = SharedCache(views, redis_server.url)
    await cache.publisher.step()
    assert cache.state.role is Role.STARTING
    assert len(await cache.windows(Kind.EVENTS, this_minute() - HOUR_MS, this_minute())) == 1
    await cache.close()


async def test_a_server_that_starts_leaves_what_is_there_until_its_views_are_complete(
    redis_server: RedisServer,
) -> None:
    before = Views(DAY_MS)
    fill(before, this_minute(), 30, 1)
    async with publishing(before, redis_server.url) as cache:
        await agree(before, cache.reader)
    complete = False
    views = Views(DAY_MS)
    cache = SharedCache(views, redis_server.url, ready=lambda: complete)
    stopping = asyncio.Event()
    task = asyncio.create_task(cache.run(stopping))
    await asyncio.sleep(1)
    await cache.as_of(now_ms())
    assert (await cache.totals()).total_events == 30, "as Redis has it"
    await agree(before, cache.reader)
    assert redis_server.ask("EXISTS", Layout().lease) == 0
    fill(views, this_minute(), 40, 2)
    complete = True
    await eventually("it has the lease", lambda: cache.state.role is Role.HOLDER)
    await agree(views, cache.reader)
    await cache.as_of(now_ms())
    assert (await cache.totals()).total_events == 80
    stopping.set()
    await task
    await cache.close()
