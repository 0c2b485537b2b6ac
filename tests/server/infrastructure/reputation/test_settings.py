"""What the configuration says of reputation."""

from __future__ import annotations

from typing import Any

import pytest

from forebay.errors import ConfigError
from forebay.server.infrastructure.reputation.settings import Zone, reputation_settings, senders, server_of

SENDER = {"ip_address": "203.0.113.12", "provider": "AWS"}


def test_zones_have_a_name_or_are_their_name() -> None:
    settings = reputation_settings({"zones": ["bl.test", {"name": "spamhaus", "zone": "zen.spamhaus.org"}]}, 1)
    assert settings.lists() == [Zone("bl.test", "bl.test"), Zone("spamhaus", "zen.spamhaus.org")]


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("[::1]", ("::1", 53)),
    ],
)
def test_name_servers(text: str, server: tuple[str, int]) -> None:
    assert server_of(text) == server


@pytest.mark.parametrize(
    "text", ["ns.example", "192.0.2.53:0", "192.0.2.53:65536", "192.0.2.53:x", "[::1", "[::1]5353", ""]
)
def test_what_is_no_name_server(text: str) -> None:
    with pytest.raises(ConfigError, match="reputation.nameservers has"):
        server_of(text)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, r"tables \[\[sending_address\]\], but reputation.zones and reputation.stream are missing"),
        ({"zone": ["bl.test"]}, r"reputation: object contains unknown field `zone`; its fields are zones, nameservers"),
        ({"zones": ["bl test"]}, "reputation.zones has 'bl test', which is no domain of a block list"),
        ({"zones": ["localhost"]}, "which is no domain"),
        ({"zones": ["a" * 64 + ".test"]}, "which is no domain"),
        ({"zones": ["bl.test", "bl.test"]}, "two zones of one name"),
        ({"zones": [f"z{n}.test" for n in range(33)]}, "reputation.zones has 33 zones, and at most 32 are asked"),
        ({"zones": [{"name": "x"}]}, r"reputation.zones\[0\]: object missing required field `zone`"),
        ({"zones": ["bl.test"], "nameservers": ["ns.example"]}, "reputation.nameservers has 'ns.example'"),
        ({"stream": "mails", "volume_field": "a b"}, "reputation.volume_field is no path within a value"),
        ({"zones": ["bl.test"], "timeout_ms": 1}, "reputation.timeout_ms: expected `int` >= 10"),
    ],
)
def test_what_is_wrong_is_named(table: dict[str, Any] | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        reputation_settings(table, 1)


def test_without_addresses_nothing_is_needed() -> None:
    assert reputation_settings(None, 0).lists() == []


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([SENDER, {"ip_address": "mail.example"}], r"sending_address\[1\].ip_address: 'mail.example' is no IP address"),
        ([{"ip_address": "2001:db8::1"}, {"ip_address": "2001:DB8:0::1"}], r"sending_address\[1\].* is there twice"),
        ([{"provider": "AWS"}], r"sending_address\[0\]: object missing required field `ip_address`"),
        ([{"ip_address": f"10.0.{n >> 8}.{n & 255}"} for n in range(257)], "there are 257 tables"),
    ],
)
def test_addresses_that_are_wrong(tables: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        senders(tables)
