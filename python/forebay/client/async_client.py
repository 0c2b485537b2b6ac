"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Concatenate, Self

from forebay.client.client import Client, P, check_many, documented
from forebay.client.encoding import Encoder, Fields
from forebay.client.endpoint import Endpoint
from forebay.client.row_buffer import MANY
from forebay.client.search import AsyncSearch
from forebay.client.stats import Stats

ROOM_SECONDS = 0.005
"""How often a full queue is looked at again."""

TURN_SECONDS = 0.005
"""`log_many` lets others run after taking rows for this long, if it has not had its number before."""


def awaited(
    make: Callable[Concatenate[Encoder, P], tuple[str, bytes]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, bool]]:
    """Like `handed_over`, for the client whose methods are awaited."""

    async def call(self: AsyncClient, /, *given: P.args, **named: P.kwargs) -> bool:
        client = self._client
        name, event = make(client._encoder, *given, **named)
        endpoint = client._endpoint(name)
        return client._answer(endpoint, await self._put(endpoint, event))

    return documented(call, make)


class AsyncClient:
    """Takes the arguments of `Client`, and never blocks the event loop: where that waits, this awaits.
    Batches are sent by the same threads in the background.

    With a spool a call writes to the page cache, some microseconds; with `spool_fsync="always"` the sync is a worker
    thread's.
    """

    def __init__(self, url: str, token: str | None = None, **options: Any) -> None:
        self._client = Client(url, token, **options)
        self._queue = self._client._queue
        self._block_seconds = self._queue.limits.block_seconds
        self._syncs = options.get("spool") is not None and options.get("spool_fsync") == "always"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    log = awaited(Encoder.log)
    track = awaited(Encoder.track)
    event = awaited(Encoder.event)
    publish = awaited(Encoder.publish)

    async def log_many(self, events: Iterable[Fields | str]) -> int:
        """Like `Client.log_many`. Encodes and hands over some hundred at a time, or what came within some milliseconds,
        and lets others run between."""
        check_many(events)
        encode, endpoint = self._client._encoder.row, self._client._drain
        some: list[bytes] = []
        done, began = 0, time.monotonic()
        try:
            for event in events:
                some.append(encode(event))
                if len(some) >= MANY or time.monotonic() - began > TURN_SECONDS:
                    texts, some = some, []
                    done += await self._put_many(texts)
                    await asyncio.sleep(0)
                    began = time.monotonic()
        finally:
            done += await self._put_many(some)
            self._client._losses.notice()
        return done if self._client._answer(endpoint, True) else 0

    async def _put_many(self, texts: list[bytes]) -> int:
        endpoint = self._client._drain
        if self._syncs:
            return await asyncio.to_thread(self._queue.put_many, endpoint, texts)
        done = 0
        while (done := done + self._queue.put_many(endpoint, texts[done:], False)) < len(texts):
            await self._put(endpoint, texts[done])
            done += 1
        return done

    async def _put(self, endpoint: Endpoint, event: bytes) -> bool:
        if self._syncs:
            return await asyncio.to_thread(self._queue.put, endpoint, event) is True
        kept = self._queue.put(endpoint, event, False)
        if kept is not None:
            return kept
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._block_seconds
        while kept is None and loop.time() < deadline and not self._queue.stalled:
            await asyncio.sleep(ROOM_SECONDS)
            kept = self._queue.put(endpoint, event, False)
        return kept if kept is not None else self._queue.give_up()

    def search(self, query: str = "", **conditions: Any) -> AsyncSearch:
        """Takes what `Client.search` takes; what is asked for is read with `async for`, `stats` and `total`."""
        return AsyncSearch(self._client.search(query, **conditions).conditions)

    def stats(self) -> Stats:
        return self._client.stats()

    async def flush(self, timeout: float = 30.0) -> int:
        return await asyncio.to_thread(self._client.flush, timeout)

    async def close(self, timeout: float | None = None) -> int:
        return await asyncio.to_thread(self._client.close, timeout)
