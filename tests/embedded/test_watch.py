"""Waiting for records through the binding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forebay import errors
from forebay._forebay import Engine
from forebay.embedded.options import EngineOptions

PATIENCE = 20.0


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Engine]:
    engine = Engine(str(directory), EngineOptions().engine_options())
    loop = asyncio.get_running_loop()
    loop.add_reader(engine.completion_fd(), engine.drain_completions)
    try:
        engine.create_stream("orders", 2)
        yield engine
    finally:
        await asyncio.to_thread(engine.close)
        engine.drain_completions()
        loop.remove_reader(engine.completion_fd())


def append(engine: Engine, partition: int) -> Coroutine[Any, Any, object]:
    return asyncio.to_thread(engine.append, "orders", [(None, b"1", b"", None)], partition)


Case = Callable[[Engine], Coroutine[Any, Any, None]]


async def wakes_by_the_commit(engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    due, later = loop.create_future(), loop.create_future()
    engine.watch("orders", [(0, 0)], due)
    engine.watch("orders", [(0, 1), (1, 0)], later)
    await append(engine, 0)
    assert await asyncio.wait_for(due, PATIENCE) == 0
    assert not later.done()
    await append(engine, 1)
    assert await asyncio.wait_for(later, PATIENCE) == 0


async def wakes_at_once_for_what_is_there(engine: Engine) -> None:
    await append(engine, 1)
    there = asyncio.get_running_loop().create_future()
    watch = engine.watch("orders", [(0, 0), (1, 0)], there)
    assert await asyncio.wait_for(there, PATIENCE) == 0
    engine.unwatch(watch)


async def an_ended_watch_completes_no_other_future(engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    for offset in range(200):
        first, second = loop.create_future(), loop.create_future()
        watch = engine.watch("orders", [(0, offset)], first)
        appending = asyncio.ensure_future(append(engine, 0))
        await asyncio.sleep(0)
        engine.unwatch(watch)
        engine.watch("orders", [(1, 0)], second)
        await appending
        # Whatever was on its way is delivered now: the loop went round, and this drains what is left.
        engine.drain_completions()
        assert not second.done()
    await append(engine, 1)


async def refuses_what_is_not_there(engine: Engine) -> None:
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(errors.StreamNotFound):
        engine.watch("nothing", [(0, 0)], future)
    with pytest.raises(errors.InvalidRequest):
        engine.watch("orders", [(2, 0)], future)
    engine.unwatch(0)
    engine.unwatch(1 << 127)


async def closing_ends_every_watch(engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    waiting = [loop.create_future() for _ in range(10)]
    for future in waiting:
        engine.watch("orders", [], future)
    await asyncio.to_thread(engine.close)
    for future in waiting:
        with pytest.raises(errors.Closed):
            await asyncio.wait_for(future, PATIENCE)
    with pytest.raises(errors.Closed):
        engine.watch("orders", [], loop.create_future())


@pytest.mark.parametrize(
    "case",
    [
        wakes_by_the_commit,
        wakes_at_once_for_what_is_there,
        an_ended_watch_completes_no_other_future,
        refuses_what_is_not_there,
        closing_ends_every_watch,
    ],
)
def test_watching(case: Case, tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path / "data") as engine:
            await case(engine)

    asyncio.run(run())
