"""Which lists have which addresses, kept from round to round."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from forebay.cache.times import now_ms
from forebay.server.infrastructure.reputation.query import Verdict

if TYPE_CHECKING:
    from forebay.server.infrastructure.reputation.block_list import BlockList
    from forebay.server.infrastructure.reputation.settings import IpAddress

MAX_LOOKUPS = 16
"""Look-ups under way at once. Lists turn away who asks faster than a mail server does."""


class Listings:
    """Only the event loop uses this.

    Attributes:
        at: when the last round ended, in milliseconds since 1970 UTC; None before the first.
    """

    def __init__(self, lists: Sequence[BlockList], addresses: Sequence[IpAddress]) -> None:
        self._lists = lists
        self._addresses = addresses
        self._verdicts: dict[tuple[IpAddress, str], Verdict] = {}
        self.at: int | None = None

    async def look(self) -> None:
        """Asks every list for every address. A list whose test entries are wrong or unanswered is not asked further, so
        that one that is dead costs one timeout."""
        slots = asyncio.Semaphore(MAX_LOOKUPS)
        versions = sorted({address.version for address in self._addresses})
        async with asyncio.TaskGroup() as group:
            for block_list in self._lists:
                for version in versions:
                    group.create_task(self._ask(block_list, version, slots))
        self.at = now_ms()

    async def _ask(self, block_list: BlockList, version: int, slots: asyncio.Semaphore) -> None:
        addresses = [address for address in self._addresses if address.version == version]
        async with slots:
            trouble = await block_list.trouble(version)
        if trouble is not None:
            for address in addresses:
                listed = not trouble.is_void and self._listed(address, block_list.name)
                self._verdicts[address, block_list.name] = Verdict(listed, trouble.what)
            return
        async with asyncio.TaskGroup() as group:
            for address in addresses:
                group.create_task(self._ask_one(block_list, address, slots))

    async def _ask_one(self, block_list: BlockList, address: IpAddress, slots: asyncio.Semaphore) -> None:
        async with slots:
            said = await block_list.asked(address)
        if said.error is not None:
            # Silence is no proof that the address is not listed any more.
            said = Verdict(said.listed or self._listed(address, block_list.name), said.error)
        self._verdicts[address, block_list.name] = said

    def _listed(self, address: IpAddress, name: str) -> bool:
        known = self._verdicts.get((address, name))
        return known is not None and known.listed

    def blacklists(self, address: IpAddress) -> list[str]:
        """The lists that have the address."""
        return [each.name for each in self._lists if self._listed(address, each.name)]

    def errors(self, address: IpAddress) -> list[str]:
        """What lists could not tell, a sentence each."""
        known = ((each.name, self._verdicts.get((address, each.name))) for each in self._lists)
        return [f"{name}: {said.error}" for name, said in known if said is not None and said.error is not None]
