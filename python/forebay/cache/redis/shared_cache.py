"""The cache of a server that shares its views by Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from forebay.cache.cache import Health, Kind
from forebay.cache.redis.connection import Connection
from forebay.cache.redis.layout import DEFAULT_PREFIX, Layout
from forebay.cache.redis.publisher import Publisher, PublisherState, Role
from forebay.cache.redis.redis_cache import RedisCache
from forebay.cache.shapes import Totals
from forebay.cache.views import Views
from forebay.errors import StorageUnavailable

SILENT_MS = 3_000
"""Who publishes does so every second, also when nothing comes."""


class SharedCache:
    """Publishes the views of this process, and answers from them also when Redis is away. While another server
    publishes, and until its own views are complete, it answers from Redis what was published there."""

    def __init__(
        self, views: Views, url: str, prefix: str = DEFAULT_PREFIX, ready: Callable[[], bool] = lambda: True
    ) -> None:
        """Connects to nothing yet. `ready` says whether the views are complete, as after a start they are not.

        Raises:
            ConfigError: the address or the prefix is wrong, or the package `redis` is missing.
        """
        layout = Layout(prefix)
        self._views = views
        self.publisher = Publisher(views, Connection(url, connections=1), layout, ready=ready)
        self.reader = RedisCache(Connection(url), layout)
        self._ready = ready
        self._reads = False
        """Whether answers come from Redis, as the last question of what time they are has found out."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Publishes until `stopping` is set."""
        await self.publisher.run(stopping)

    async def close(self) -> None:
        """Publishes what is left, gives the lease to the next server and closes the connections; within seconds. `run`
        must have ended."""
        await self.publisher.close()
        await self.reader.close()

    @property
    def state(self) -> PublisherState:
        """What the publisher does, for health and metrics."""
        return self.publisher.state

    async def as_of(self, now_ms: int) -> int:
        """As `Cache.as_of`. Routes ask it first. Another server that has the lease and publishes no more, since it has
        just ended, is not waited for: it may have been this one before its start."""
        # Assigned once, when it is known: other requests are between their own questions meanwhile.
        as_of = await self._as_of_another(now_ms)
        self._reads = as_of is not None
        return now_ms if as_of is None else as_of

    async def _as_of_another(self, now_ms: int) -> int | None:
        """The time that Redis is asked for; None when this process answers itself."""
        is_ready = self._ready()
        if is_ready and self.publisher.role is not Role.STANDBY:
            return None
        try:
            as_of = await self.reader.as_of(now_ms)
        except StorageUnavailable:
            if is_ready:
                return None
            raise
        silent = now_ms - 1000 * (self.reader.updated_seconds or 0)
        return None if is_ready and silent >= SILENT_MS else as_of

    async def windows(self, kind: Kind, first_ms: int, last_ms: int) -> dict[int, bytes]:
        """As `Cache.windows`."""
        if self._reads:
            return await self.reader.windows(kind, first_ms, last_ms)
        return self._views.windows(kind, first_ms, last_ms)

    async def totals(self) -> Totals:
        """As `Cache.totals`."""
        return await self.reader.totals() if self._reads else self._views.totals()

    async def health(self) -> Health:
        """Reachable when Redis answers now and took the last write."""
        if self.publisher.problem is not None:
            return Health.AWAY
        return await self.reader.health()
