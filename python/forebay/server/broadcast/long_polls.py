"""Long polls: consumers wait for a record, until one comes or something else ends the wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from forebay import errors

if TYPE_CHECKING:
    from forebay._forebay import Engine

Positions = list[tuple[int, int]]


class LongPolls:
    """The waiting polls of one server. Each is a future and a watch in the engine, and costs nothing until a commit
    makes its record visible, its group is rebalanced, or the server stops."""

    def __init__(self, engine: Engine, stopping: asyncio.Event) -> None:
        self._engine = engine
        self._stopping = stopping
        self._waiting: set[asyncio.Future[int]] = set()
        self._members: dict[tuple[str, str], set[asyncio.Future[int]]] = {}
        self._end: asyncio.Task[None] | None = None

    async def wait(
        self,
        stream: str,
        positions: Positions,
        seconds: float,
        *,
        group: str | None = None,
        ends: Iterable[asyncio.Future[None]] = (),
    ) -> None:
        """Returns when there may be a record at or beyond one of the positions, when one of `ends` completes, for a
        member of `group` when its partitions may have changed, and at the latest after `seconds`.

        Raises:
            StreamNotFound: the stream was deleted.
            Saturated: too many polls wait already.
        """
        if self._stopping.is_set():
            return
        loop = asyncio.get_running_loop()
        if self._end is None:
            self._end = loop.create_task(self._wake_at_the_end())
        future: asyncio.Future[int] = loop.create_future()
        try:
            watch = self._engine.watch(stream, positions, future)
        except errors.Closed:
            return
        members = None if group is None else self._members.setdefault((group, stream), set())
        self._waiting.add(future)
        if members is not None:
            members.add(future)
        try:
            # `asyncio.wait` does not raise the future's exception, and a cancelled future only ends the wait.
            first: set[asyncio.Future[Any]] = {future, *ends}
            await asyncio.wait(first, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.discard(future)
            if members is not None and group is not None:
                members.discard(future)
                if not members:
                    self._members.pop((group, stream), None)
            if not future.done() or future.cancelled():
                self._engine.unwatch(watch)
                future.cancel()
        if not future.cancelled():
            failure = future.exception()
            if failure is not None and not isinstance(failure, errors.Closed):
                raise failure

    def rebalanced(self, group: str, stream: str | None = None) -> None:
        """Wakes the waiting members of a group, so that they look at their partitions again."""
        for (of, on), members in list(self._members.items()):
            if of == group and stream in (None, on):
                for future in list(members):
                    future.cancel()

    def close(self) -> None:
        """Ends the background task. Call it after the last poll has ended."""
        if self._end is not None:
            self._end.cancel()

    async def _wake_at_the_end(self) -> None:
        await self._stopping.wait()
        for future in list(self._waiting):
            future.cancel()
