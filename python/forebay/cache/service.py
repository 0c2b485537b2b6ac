"""The views of one server: what reads them, where they are kept, and how both stand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from forebay.cache.embedded import EmbeddedCache
from forebay.cache.feed import Feed
from forebay.cache.redis.shared_cache import SharedCache
from forebay.cache.views import Views

if TYPE_CHECKING:
    from forebay._forebay import Engine
    from forebay.cache.cache import Cache
    from forebay.cache.redis.publisher import Publisher


class ViewService:
    """The feed, and the cache that routes ask.

    Attributes:
        cache: answers with the views.
    """

    def __init__(
        self, engine: Engine, retention_ms: int, lateness_ms: int, redis: tuple[str, str] | None = None
    ) -> None:
        """`redis` is its address and the prefix of the keys; None keeps the views in this process alone.

        Raises:
            ConfigError: the package `redis` is missing.
        """
        views = Views(retention_ms)
        self._feed = Feed(engine, views, lateness_ms)
        self._shared = None if redis is None else SharedCache(views, *redis, lambda: self._feed.is_ready)
        self.cache: Cache = self._shared or EmbeddedCache(views)

    @property
    def publisher(self) -> Publisher | None:
        """What writes to Redis; None without one."""
        return None if self._shared is None else self._shared.publisher

    def not_ready(self) -> str | None:
        """Why the windows of before the start are not there yet; None when they are."""
        if self._feed.is_ready:
            return None
        reason = f": {self._feed.problem}" if self._feed.problem else ""
        return f"the analytics views are being read{reason}"

    def problems(self) -> list[str]:
        """What keeps views from being computed or published, each with what to do."""
        found = [] if self._feed.problem is None else [f"the analytics views stand still: {self._feed.problem}"]
        found += [f"the analytics views stand still: the processor {name!r} is paused" for name in self._feed.paused()]
        if self._shared is not None and (reason := self._shared.state.reason) is not None:
            found.append(f"the analytics views are not published: {reason}")
        return found

    async def run(self, stopping: asyncio.Event) -> None:
        """Reads, and publishes to Redis, until `stopping` is set."""
        self._feed.start()
        if self._shared is None:
            await stopping.wait()
        else:
            await self._shared.run(stopping)

    async def close(self) -> None:
        """Ends both, within seconds. Call it before the engine is closed, and once `run` has ended."""
        await asyncio.to_thread(self._feed.stop)
        if self._shared is not None:
            await self._shared.close()
