"""Look-ups against a real name server on loopback, which lists, unlists, is silent, fails and refuses."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
import time

import pytest

from forebay.errors import ConfigError
from forebay.server.infrastructure.reputation.block_list import BlockList
from forebay.server.infrastructure.reputation.listings import Listings
from forebay.server.infrastructure.reputation.lookups import MAX_CACHED_SECONDS, LookupFailed, Lookups
from forebay.server.infrastructure.reputation.settings import Zone
from support.dns_server import UNLISTED, DnsServer

TIMEOUT_SECONDS = 60.0
SHORT_SECONDS = 0.3

ADDRESS = ipaddress.ip_address("203.0.113.12")
OTHER = ipaddress.ip_address("203.0.113.13")
ADDRESS_6 = ipaddress.ip_address("2001:db8::12")
REVERSED = "12.113.0.203"
REVERSED_6 = "2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"


class World:
    """Listings of some zones, and rounds of look-ups."""

    def __init__(self, server: DnsServer, *zones: str, seconds: float = TIMEOUT_SECONDS) -> None:
        lookups = Lookups([("127.0.0.1", server.port)], seconds)
        lists = [BlockList(Zone(zone.partition(".")[0], zone), lookups) for zone in zones]
        self.listings = Listings(lists, [ADDRESS, OTHER, ADDRESS_6])

    def look(self) -> Listings:
        asyncio.run(self.listings.look())
        return self.listings


def test_listed_and_unlisted_again(name_server: DnsServer) -> None:
    name_server.zone("spam.test", **{REVERSED: "127.0.0.4", REVERSED_6: "127.0.0.3"})
    name_server.zone("zen.test")
    world = World(name_server, "spam.test", "zen.test")
    assert world.listings.at is None
    found = world.look()
    assert found.at is not None
    assert [found.blacklists(each) for each in (ADDRESS, OTHER, ADDRESS_6)] == [["spam"], [], ["spam"]]
    assert not any(found.errors(each) for each in (ADDRESS, OTHER, ADDRESS_6))
    del name_server.lists["spam.test"][REVERSED]
    name_server.lists["zen.test"]["13.113.0.203"] = "127.0.0.2"
    found = world.look()
    assert [found.blacklists(each) for each in (ADDRESS, OTHER, ADDRESS_6)] == [[], ["zen"], ["spam"]]


def test_silence_is_an_error_and_takes_no_listing_away(name_server: DnsServer) -> None:
    name_server.zone("spam.test", **{REVERSED: "127.0.0.4"})
    world = World(name_server, "spam.test", seconds=SHORT_SECONDS)
    # On a busy machine even a good answer may be late.
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while world.look().blacklists(ADDRESS) != ["spam"]:
        assert time.monotonic() < deadline, world.listings.errors(ADDRESS)
    name_server.silent.add("spam.test")
    found = world.look()
    assert found.errors(ADDRESS) == ["spam: no answer within 300 ms"]
    assert found.blacklists(ADDRESS) == ["spam"]
    assert found.blacklists(OTHER) == []


def test_a_look_up_without_an_answer_takes_no_listing_away(name_server: DnsServer) -> None:
    """The list itself is in good order."""
    name_server.zone("spam.test", **{REVERSED: "127.0.0.4"})
    world = World(name_server, "spam.test", seconds=SHORT_SECONDS)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while world.look().blacklists(ADDRESS) != ["spam"]:
        assert time.monotonic() < deadline, world.listings.errors(ADDRESS)
    name_server.silent.update({f"{REVERSED}.spam.test", f"{REVERSED_6}.spam.test"})
    while world.look().errors(OTHER):
        assert time.monotonic() < deadline, world.listings.errors(OTHER)
    assert [world.listings.blacklists(each) for each in (ADDRESS, ADDRESS_6)] == [["spam"], []]
    for address in (ADDRESS, ADDRESS_6):
        assert world.listings.errors(address) == ["spam: no answer within 300 ms"]


def test_a_silent_list_does_not_keep_others_from_answering(name_server: DnsServer) -> None:
    name_server.zone("zen.test", **{REVERSED: "127.0.0.2"})
    name_server.silent.add("dead.test")
    world = World(name_server, "dead.test", "zen.test", seconds=SHORT_SECONDS)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while world.look().blacklists(ADDRESS) != ["zen"]:
        assert time.monotonic() < deadline, world.listings.errors(ADDRESS)
    assert "dead: no answer within 300 ms" in world.listings.errors(ADDRESS)
    # Its test entry is all that it was asked for, once for each version of IP.
    assert not any(name.startswith(REVERSED) for name in name_server.asked if name.endswith("dead.test"))


def test_a_list_that_refuses_a_public_resolver(name_server: DnsServer) -> None:
    name_server.always["zen.test"] = "127.255.255.254"
    found = World(name_server, "zen.test").look()
    assert found.blacklists(ADDRESS) == []
    [error] = found.errors(ADDRESS)
    assert error.startswith("zen: it answered 127.255.255.254, by which a list refuses to answer")


def test_a_name_server_that_lies(name_server: DnsServer) -> None:
    """Some answer every name that does not exist with a page of their own."""
    name_server.zone("zen.test")
    name_server.lists["zen.test"][REVERSED] = "198.51.100.1"
    found = World(name_server, "zen.test").look()
    assert found.blacklists(ADDRESS) == []
    [error] = found.errors(ADDRESS)
    assert "198.51.100.1, which no block list does" in error


def test_a_list_that_lists_anything_lists_nothing(name_server: DnsServer) -> None:
    name_server.zone("spam.test", **{REVERSED: "127.0.0.4"})
    world = World(name_server, "spam.test")
    assert world.look().blacklists(ADDRESS) == ["spam"]
    name_server.always["spam.test"] = "127.0.0.2"
    found = world.look()
    assert found.blacklists(ADDRESS) == []
    assert found.errors(ADDRESS) == ["spam: it lists 127.0.0.1, which no list may: it lists anything"]


@pytest.mark.parametrize("entries", [{}, {UNLISTED: "127.0.0.2"}])
def test_a_list_without_its_test_entry_is_none(name_server: DnsServer, entries: dict[str, str]) -> None:
    name_server.lists["spam.test"] = entries
    found = World(name_server, "spam.test").look()
    assert found.errors(ADDRESS) == [
        "spam: it does not list its test entry 127.0.0.2, so it is no list of this kind, or a dead one"
    ]
    assert found.errors(ADDRESS_6)[0].startswith("spam: it does not list its test entry ::ffff:7f00:2")


def test_servers_that_fail_or_refuse(name_server: DnsServer) -> None:
    name_server.failing.add("spam.test")
    found = World(name_server, "spam.test", "unknown.test", seconds=1.0).look()
    for name, error in zip(("spam", "unknown"), found.errors(ADDRESS), strict=True):
        assert error.startswith(f"{name}: ")
    assert found.blacklists(ADDRESS) == []


def test_answers_are_kept_for_their_time_to_live(name_server: DnsServer) -> None:
    name_server.ttl = 3600
    name_server.zone("spam.test", **{REVERSED: "127.0.0.4"})
    world = World(name_server, "spam.test")
    world.look()
    asked = len(name_server.asked)
    assert world.look().blacklists(ADDRESS) == ["spam"]
    assert len(name_server.asked) == asked, "both what is listed and what is not came from the cache"
    name_server.ttl = 0


def test_no_answer_is_kept_for_longer_than_the_bound(name_server: DnsServer) -> None:
    name_server.ttl = 10 * int(MAX_CACHED_SECONDS)
    name_server.zone("spam.test")
    lookups = Lookups([("127.0.0.1", name_server.port)], TIMEOUT_SECONDS)

    assert asyncio.run(lookups.addresses("2.0.0.127.spam.test.")) == ["127.0.0.2"]
    [kept] = [node.value for node in lookups._resolver.cache.data.values()]
    assert kept.expiration <= time.time() + MAX_CACHED_SECONDS


def test_a_port_where_nobody_answers_is_a_failure(name_server: DnsServer) -> None:
    lookups = Lookups([("127.0.0.1", name_server.port)], SHORT_SECONDS)
    name_server.silent.add("spam.test")
    with pytest.raises(LookupFailed, match="no answer within 300 ms"):
        asyncio.run(lookups.addresses("2.0.0.127.spam.test."))


def test_without_the_package_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns.asyncresolver", None)
    with pytest.raises(ConfigError, match=r"pip install 'forebay\[reputation\]'"):
        Lookups([], 1.0)
