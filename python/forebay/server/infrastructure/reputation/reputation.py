"""The reputation of the addresses that mail is sent from, kept up to date in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from forebay.cache.times import rfc3339
from forebay.errors import ForebayError
from forebay.server.infrastructure.reputation.block_list import BlockList
from forebay.server.infrastructure.reputation.listings import Listings
from forebay.server.infrastructure.reputation.lookups import Lookups
from forebay.server.infrastructure.reputation.score import Volume, score, status
from forebay.server.infrastructure.reputation.settings import reputation_settings, senders
from forebay.server.infrastructure.reputation.volumes import Volumes
from forebay.server.infrastructure.shapes import SendingAddress

if TYPE_CHECKING:
    from forebay._forebay import Engine
    from forebay.server.broadcast.background import Background

log = structlog.get_logger("forebay.infrastructure")

VOLUME_SECONDS = 5.0
"""How often the sums are read. They change every five minutes."""

NOT_LOOKED_UP = "no block list was asked yet"


class Reputation:
    """Only the event loop uses this."""

    def __init__(
        self,
        engine: Engine,
        background: Background,
        addresses: Sequence[Mapping[str, Any]],
        table: Mapping[str, Any] | None,
    ) -> None:
        """
        Args:
            addresses: the setting `sending_address`.
            table: the setting `reputation`.

        Raises:
            ConfigError: one of them is wrong, or a package that they need is missing.
        """
        self._background = background
        self._senders = senders(addresses)
        self._settings = settings = reputation_settings(table, len(self._senders))
        self._listings: Listings | None = None
        if self._senders and settings.zones:
            lookups = Lookups(settings.servers(), settings.timeout_ms / 1000)
            lists = [BlockList(zone, lookups) for zone in settings.lists()]
            self._listings = Listings(lists, [address for address, _ in self._senders.values()])
        self._volumes: Volumes | None = None
        if self._senders and settings.stream:
            # Records may write an address as the configuration does, or in its shortest form.
            texts = {text for key, (_, sender) in self._senders.items() for text in (key, sender.ip_address)}
            self._volumes = Volumes(engine, settings, texts)
        self._unread: str | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Looks up and counts until the server stops."""
        async with asyncio.TaskGroup() as group:
            if self._listings is not None:
                look = self._listings.look
                group.create_task(_repeated(look, self._settings.interval_seconds, stopping))
            if self._volumes is not None:
                volumes = self._volumes
                group.create_task(_repeated(lambda: self._count(volumes), VOLUME_SECONDS, stopping))

    def addresses(self) -> list[SendingAddress]:
        """Every address, from memory."""
        return [self._judged(key) for key in self._senders]

    async def _count(self, volumes: Volumes) -> None:
        try:
            await self._background.blocking(volumes.step)
        except ForebayError as error:
            if error.detail != self._unread:
                log.warning("what is sent is not counted; it is tried again", error=error.detail)
            self._unread = error.detail
            return
        self._unread = None

    def _judged(self, key: str) -> SendingAddress:
        address, sender = self._senders[key]
        listings, volume, errors = self._listings, self._volume(key), self._count_errors()
        blacklists: list[str] = []
        if listings is not None:
            blacklists = listings.blacklists(address)
            errors = [*(listings.errors(address) if listings.at else [NOT_LOOKED_UP]), *errors]
        points, rates = score(blacklists, volume), volume.rates()
        judged = SendingAddress(
            ip_address=sender.ip_address,
            provider=sender.provider,
            reputation_score=points,
            blacklists=blacklists,
            daily_volume=round(max(volume.sent, 0.0)),
            status=status(blacklists, points),
            checked_at=None if listings is None or listings.at is None else rfc3339(listings.at),
            errors=errors,
        )
        return judged if rates is None else _with_rates(judged, rates)

    def _volume(self, key: str) -> Volume:
        if self._volumes is None:
            return Volume()
        texts = {key, self._senders[key][1].ip_address}
        return Volume(*map(sum, zip(*(self._volumes.of(text) for text in texts), strict=True)))

    def _count_errors(self) -> list[str]:
        problem = self._unread or (None if self._volumes is None else self._volumes.problem)
        return [] if problem is None else [f"volume: {problem}"]


def _with_rates(judged: SendingAddress, rates: tuple[float, float]) -> SendingAddress:
    bounced, complained = (round(each, 4) for each in rates)
    return msgspec.structs.replace(judged, bounce_rate_percent=bounced, complaint_rate_percent=complained)


async def _repeated(work: Callable[[], Awaitable[None]], seconds: float, stopping: asyncio.Event) -> None:
    """Does the work at once, and again after so long, until the server stops."""
    while not stopping.is_set():
        try:
            await work()
        except Exception as error:
            # The next time it may work; without the loop nothing would be looked at ever again.
            log.exception("reputation could not be looked at", error=str(error))
        try:
            async with asyncio.timeout(seconds):
                await stopping.wait()
        except TimeoutError:
            continue
