"""A request's future on the event loop: completed by the engine, whether anybody still waits or not."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from forebay import errors
from forebay.http.intake import ACK_SECONDS

T = TypeVar("T")


class Commit(Generic[T]):
    """What `Engine.submit` reports to. It may be completed after its waiter has gone."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[T] = self._loop.create_future()

    def set_result(self, result: T) -> None:
        if not self._future.done():
            self._future.set_result(result)

    def set_exception(self, error: Exception) -> None:
        if not self._future.done():
            self._future.set_exception(error)

    def cancelled(self) -> bool:
        return self._future.cancelled()

    def set_timeout(self, seconds: float) -> None:
        """The sender waits that much longer, in a request that says so."""
        self._loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self.set_exception(errors.Timeout("no commit within options.timeout; the outcome is unknown"))

    async def wait(self) -> T:
        """The result, once the batch is committed.

        Raises:
            Timeout: no commit in time; it may still come.
        """
        try:
            async with asyncio.timeout(ACK_SECONDS):
                return await self._future
        except TimeoutError:
            raise errors.Timeout(f"no commit within {ACK_SECONDS:g} seconds; the outcome is unknown") from None
