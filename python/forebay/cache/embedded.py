"""The cache of a server without Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.cache.cache import Health, Kind

if TYPE_CHECKING:
    from forebay.cache.shapes import Totals
    from forebay.cache.views import Views


class EmbeddedCache:
    """Answers from the memory of this process. The log has what is in it, so it survives a restart."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def as_of(self, now_ms: int) -> int:
        """As `Cache.as_of`."""
        return now_ms

    async def windows(self, kind: Kind, first_ms: int, last_ms: int) -> dict[int, bytes]:
        """As `Cache.windows`."""
        return self._views.windows(kind, first_ms, last_ms)

    async def totals(self) -> Totals:
        """As `Cache.totals`."""
        return self._views.totals()

    async def health(self) -> Health:
        """There is nothing that could be away."""
        return Health.EMBEDDED
