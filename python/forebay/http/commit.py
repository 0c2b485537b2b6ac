"""A request's future on the event loop: completed by the engine, whether anybody still waits or not."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from forebay.errors import Timeout

T = TypeVar("T")

ACK_SECONDS = 60.0
"""A commit takes milliseconds and a stalled disk minutes: after this the sender is told that the outcome is unknown.
The front has the same bound."""


def _no_commit(within: str) -> Timeout:
    """What a sender is told whose commit did not come in time."""
    return Timeout(f"no commit within {within}; the outcome is unknown")


class Commit(Generic[T]):
    """What `Engine.submit` reports to. It may be completed after its waiter has gone."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[T] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None

    def set_result(self, result: T) -> None:
        self._stop_timer()
        if not self._future.done():
            self._future.set_result(result)

    def set_exception(self, error: Exception) -> None:
        self._stop_timer()
        if not self._future.done():
            self._future.set_exception(error)

    def cancelled(self) -> bool:
        return self._future.cancelled()

    def set_timeout(self, seconds: float) -> None:
        """The sender waits that much longer, in a request that says so."""
        if not self._future.done():
            self._timer = self._loop.call_later(seconds, self.set_exception, _no_commit("options.timeout"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def wait(self) -> T:
        """The result, once the batch is committed.

        Raises:
            Timeout: no commit in time; it may still come.
        """
        try:
            async with asyncio.timeout(ACK_SECONDS):
                return await self._future
        except TimeoutError:
            raise _no_commit(f"{ACK_SECONDS:g} seconds") from None
