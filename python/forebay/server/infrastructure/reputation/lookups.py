"""Addresses of names, from the name servers of the configuration. It needs the package dnspython."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from forebay.errors import ConfigError
from forebay.server.infrastructure.failure import plain
from forebay.server.infrastructure.reputation.settings import MAX_ADDRESSES, MAX_ZONES

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver
    from dns.resolver import Answer, CacheBase

MISSING = "reputation.zones needs the package dnspython: pip install 'forebay[reputation]'"

MAX_CACHED = MAX_ADDRESSES * MAX_ZONES + 4 * MAX_ZONES
"""Every look-up and every test entry."""

MAX_CACHED_SECONDS = 3600.0
"""The longest that an answer is kept, whatever its own time to live: of an absence without one there is no other."""

TRY_SHARE = 3
"""A packet may get lost: a server is asked again after this part of the time."""


class LookupFailed(Exception):
    """No name server gave an answer; the message says why."""


class Lookups:
    """Look-ups with a bounded time and a bounded cache, which keeps each answer for its time to live."""

    def __init__(self, servers: Sequence[tuple[str, int]], timeout_seconds: float) -> None:
        """
        Args:
            servers: address and port of the name servers; those of the system when there are none.

        Raises:
            ConfigError: the package is missing, or the system knows no name server.
        """
        self._timeout_seconds = timeout_seconds
        self._resolver = _resolver(servers, timeout_seconds)

    async def addresses(self, name: str) -> list[str]:
        """The IPv4 addresses of an absolute name; none when there is no such name.

        Raises:
            LookupFailed: no answer came in time, or none that can be relied on.
        """
        from dns.exception import DNSException, Timeout
        from dns.resolver import NXDOMAIN, NoNameservers

        try:
            answer = await self._resolver.resolve(name, "A", raise_on_no_answer=False, search=False)
        except NXDOMAIN:
            return []
        except Timeout:
            raise LookupFailed(f"no answer within {self._timeout_seconds * 1000:.0f} ms") from None
        except NoNameservers as error:
            raise LookupFailed(f"the name servers refuse or fail: {_answered(error)}") from None
        except (DNSException, OSError) as error:
            raise LookupFailed(plain(f"{type(error).__name__}: {error}")) from None
        return [] if answer.rrset is None else [record.to_text() for record in answer.rrset]


def _answered(error: Exception) -> str:
    """What each server did. The client's sentence begins with the query."""
    return plain(str(error).partition(": ")[2] or str(error))


def _resolver(servers: Sequence[tuple[str, int]], timeout_seconds: float) -> Resolver:
    try:
        from dns.asyncresolver import Resolver
        from dns.nameserver import Do53Nameserver
        from dns.resolver import NoResolverConfiguration
    except ImportError:
        raise ConfigError(MISSING) from None
    try:
        resolver = Resolver(configure=not servers)
    except NoResolverConfiguration:
        raise ConfigError("the system names no name server; write them into reputation.nameservers") from None
    if servers:
        resolver.nameservers = [Do53Nameserver(address, port) for address, port in servers]
    resolver.lifetime = timeout_seconds
    resolver.timeout = timeout_seconds / TRY_SHARE
    resolver.cache = _bounded_cache()
    return resolver


def _bounded_cache() -> CacheBase:
    from dns.name import Name
    from dns.rdataclass import RdataClass
    from dns.rdatatype import SOA, RdataType
    from dns.resolver import LRUCache

    class BoundedCache(LRUCache):
        """The least recently used answers go first, and none is kept for too long; an absence that does not say for how
        long is not kept at all (RFC 2308, section 5)."""

        def put(self, key: tuple[Name, RdataType, RdataClass], value: Answer) -> None:
            if value.rrset is None and all(each.rdtype != SOA for each in value.response.authority):
                return
            value.expiration = min(value.expiration, time.time() + MAX_CACHED_SECONDS)
            super().put(key, value)

    return BoundedCache(MAX_CACHED)
