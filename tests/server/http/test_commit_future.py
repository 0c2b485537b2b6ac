"""A request's future on the event loop."""

import asyncio
import gc
import weakref

import pytest

from forebay.errors import Saturated, StorageUnavailable, Timeout
from forebay.server.http.commit_future import CommitFuture


def test_a_result_or_an_error_ends_the_wait_once() -> None:
    async def run() -> int:
        commit: CommitFuture[int] = CommitFuture(20)
        commit.set_result(3)
        commit.set_exception(Saturated("too late"))
        return await commit.wait()

    assert asyncio.run(run()) == 3


def test_a_senders_own_timeout_ends_the_wait() -> None:
    async def run() -> None:
        commit: CommitFuture[int] = CommitFuture(20)
        commit.set_timeout(0.001)
        await commit.wait()

    with pytest.raises(Timeout, match="options.timeout"):
        asyncio.run(run())


def test_a_commit_that_does_not_come_is_unknown() -> None:
    async def run() -> None:
        await CommitFuture[int](0.001).wait()

    with pytest.raises(StorageUnavailable, match="unknown; send it again with the same Idempotency-Key"):
        asyncio.run(run())


def test_a_commit_that_came_is_not_kept_until_the_senders_deadline() -> None:
    async def run() -> None:
        commit: CommitFuture[int] = CommitFuture(20)
        commit.set_timeout(60)
        commit.set_result(1)
        assert await commit.wait() == 1
        kept = weakref.ref(commit)
        del commit
        gc.collect()
        assert kept() is None

    asyncio.run(run())
