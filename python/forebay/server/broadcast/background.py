"""The services of the server that broadcasters use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol, TypeVar

T = TypeVar("T")


class Background(Protocol):
    """Work beside the requests, and the server's end."""

    stopping: asyncio.Event
    """Set when the server begins to stop."""

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Runs `work` beside the requests; it is cancelled when the server stops."""

    async def blocking(self, call: Callable[..., T], *arguments: object) -> T:
        """Runs a blocking engine call on the read pool.

        Raises:
            Timeout: a disk hangs; the outcome is unknown.
        """
