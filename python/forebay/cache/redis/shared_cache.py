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


class SharedCache:
    """Publishes the views of this process, and answers from them also when Redis is away. While another server has the
    lease, and until its own views are complete, it answers from Redis what was published there."""

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

    @property
    def is_own(self) -> bool:
        """Whether answers come from this process. Once its views are complete they do until Redis says that another
        server has the lease."""
        return self.publisher.is_ready and self.publisher.role is not Role.STANDBY

    async def as_of(self, now_ms: int) -> int:
        """As `Cache.as_of`."""
        return now_ms if self.is_own else await self.reader.as_of(now_ms)

    async def windows(self, kind: Kind, first_ms: int, last_ms: int) -> dict[int, bytes]:
        """As `Cache.windows`."""
        if self.is_own:
            return self._views.windows(kind, first_ms, last_ms)
        return await self.reader.windows(kind, first_ms, last_ms)

    async def totals(self) -> Totals:
        """As `Cache.totals`."""
        return self._views.totals() if self.is_own else await self.reader.totals()

    async def health(self) -> Health:
        """Reachable when Redis answers now and took the last write."""
        if self.publisher.problem is not None:
            return Health.AWAY
        return await self.reader.health()
