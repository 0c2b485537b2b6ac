"""One block list: whether its answers can be relied on, and what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forebay.server.infrastructure.reputation.lookups import LookupFailed
from forebay.server.infrastructure.reputation.query import LISTED_TEST, UNLISTED_TEST, Verdict, query_name, verdict

if TYPE_CHECKING:
    from forebay.server.infrastructure.reputation.lookups import Lookups
    from forebay.server.infrastructure.reputation.settings import IpAddress, Zone


class Trouble(NamedTuple):
    """Why a list is not asked. What it said before stands unless it `is_void`: a list that lists anything may always
    have done so."""

    what: str
    is_void: bool = False


class BlockList:
    """A zone, asked by way of the configured name servers."""

    def __init__(self, zone: Zone, lookups: Lookups) -> None:
        self.name = zone.name
        self._zone = zone.zone
        self._lookups = lookups

    async def trouble(self, version: int) -> Trouble | None:
        """Asks for the test entries of a version of IP; None when both answers are right."""
        present, absent = LISTED_TEST[version], UNLISTED_TEST[version]
        listed = await self.asked(present)
        if listed.error is not None:
            return Trouble(listed.error)
        if not listed.listed:
            return Trouble(f"it does not list its test entry {present}, so it is no list of this kind, or a dead one")
        unlisted = await self.asked(absent)
        if unlisted.error is not None:
            return Trouble(unlisted.error)
        if unlisted.listed:
            return Trouble(f"it lists {absent}, which no list may: it lists anything", is_void=True)
        return None

    async def asked(self, address: IpAddress) -> Verdict:
        """What the list says of an address now."""
        try:
            return verdict(await self._lookups.addresses(query_name(address, self._zone)))
        except LookupFailed as error:
            return Verdict(False, str(error))
