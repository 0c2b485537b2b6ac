"""The future of a commit. The engine completes it whether anybody still waits or not."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from forebay.errors import StorageUnavailable, Timeout

T = TypeVar("T")


class CommitFuture(Generic[T]):
    """`Engine.submit` completes it. Its waiter may have given up before."""

    def __init__(self, ack_seconds: float) -> None:
        """`ack_seconds` bounds the wait, as in the front."""
        self._ack_seconds = ack_seconds
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
        """Called for a request with `options.timeout`: the sender waits that many seconds from now."""
        if not self._future.done():
            late = Timeout("no commit within options.timeout; the outcome is unknown")
            self._timer = self._loop.call_later(seconds, self.set_exception, late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def wait(self) -> T:
        """The result, once the batch is committed.

        Raises:
            StorageUnavailable: no commit within `ack_seconds`; it may still come.
            Timeout: no commit within the time that the sender chose; it may still come.
        """
        try:
            async with asyncio.timeout(self._ack_seconds):
                return await self._future
        except TimeoutError:
            raise StorageUnavailable(
                f"no commit within {self._ack_seconds:g} seconds, so whether it is stored is unknown; send it again "
                "with the same Idempotency-Key"
            ) from None
