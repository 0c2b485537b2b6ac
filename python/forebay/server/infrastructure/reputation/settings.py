"""What `[[sending_address]]` and `[reputation]` in the configuration say."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from forebay.errors import ConfigError
from forebay.server.infrastructure.tables import shaped

MAX_ADDRESSES = 256
MAX_ZONES = 32
"""Together 8,192 look-ups, as many as the cache has room for."""

MAX_NAME = 180
"""A query is an address of up to 64 characters before the zone, and a name has at most 253."""

DNS_PORT = 53
MAX_PORT = 65_535

_ZONE = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})+\.?")
_BRACKETED = re.compile(r"\[([0-9a-fA-F:.]+)\](?::([0-9]{1,5}))?")
_PLAIN = re.compile(r"([0-9.]+)(?::([0-9]{1,5}))?")
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Sender(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One address that mail is sent from, and whose it is."""

    ip_address: str
    provider: Annotated[str, msgspec.Meta(max_length=100)] = ""


class Zone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A block list: what it is called in answers, and the domain that is asked."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    zone: Annotated[str, msgspec.Meta(max_length=MAX_NAME)]


class ReputationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How reputation is judged.

    Attributes:
        zones: block lists by their domains, or with a name each.
        nameservers: `address` or `address:port`; those of the system when there are none.
        interval_seconds: how often every address is looked up in every zone.
        timeout_ms: how long one look-up may take.
        stream: has records of what was sent; none when it is empty.
        address_field: the path within a record's value of the address that it is about.
        volume_field: of a number of messages that were sent; and those of bounces and of complaints.
    """

    zones: list[str | Zone] = []
    nameservers: list[str] = []
    interval_seconds: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 900.0
    timeout_ms: Annotated[int, msgspec.Meta(ge=10, le=60_000)] = 3_000
    stream: str = ""
    address_field: str = "ip_address"
    volume_field: str = "sent"
    bounces_field: str = "bounces"
    complaints_field: str = "complaints"

    def lists(self) -> list[Zone]:
        """The zones, each with a name."""
        return [Zone(zone, zone) if isinstance(zone, str) else zone for zone in self.zones]

    def servers(self) -> list[tuple[str, int]]:
        """Address and port of each name server."""
        return [server_of(text) for text in self.nameservers]


def senders(tables: Sequence[Mapping[str, Any]]) -> dict[str, tuple[IpAddress, Sender]]:
    """The addresses of the setting, by their text in the shortest form.

    Raises:
        ConfigError: one is no IP address, one is there twice, or there are too many.
    """
    if len(tables) > MAX_ADDRESSES:
        raise ConfigError(f"there are {len(tables)} tables [[sending_address]], and at most {MAX_ADDRESSES} are judged")
    found: dict[str, tuple[IpAddress, Sender]] = {}
    for index, table in enumerate(tables):
        place = f"sending_address[{index}]"
        sender = shaped(place, table, Sender)
        try:
            address = ipaddress.ip_address(sender.ip_address)
        except ValueError:
            raise ConfigError(f"{place}.ip_address: {sender.ip_address!r} is no IP address") from None
        if "%" in sender.ip_address:
            raise ConfigError(f"{place}.ip_address: {sender.ip_address!r} has a scope, which no block list knows")
        if str(address) in found:
            raise ConfigError(f"{place}.ip_address: {sender.ip_address!r} is there twice")
        found[str(address)] = address, sender
    return found


def reputation_settings(table: Mapping[str, Any] | None, addresses: int) -> ReputationSettings:
    """The setting `reputation`, for so many addresses.

    Raises:
        ConfigError: it is wrong, or addresses are to be judged and it says by what.
    """
    settings = shaped("reputation", table or {}, ReputationSettings)
    if addresses and not settings.zones and not settings.stream:
        raise ConfigError(
            "there are tables [[sending_address]], but reputation.zones and reputation.stream are missing"
        )
    if len(settings.zones) > MAX_ZONES:
        raise ConfigError(f"reputation.zones has {len(settings.zones)} zones, and at most {MAX_ZONES} are asked")
    lists = settings.lists()
    for zone in lists:
        if not _ZONE.fullmatch(zone.zone) or len(zone.zone) > MAX_NAME:
            raise ConfigError(f"reputation.zones has {zone.zone!r}, which is no domain of a block list")
    if len({zone.name for zone in lists}) < len(lists):
        raise ConfigError("reputation.zones has two zones of one name")
    settings.servers()
    for field in ("address_field", "volume_field", "bounces_field", "complaints_field"):
        if not _PATH.fullmatch(getattr(settings, field)):
            raise ConfigError(f"reputation.{field} is no path within a value, like event.ip_address")
    return settings


def server_of(text: str) -> tuple[str, int]:
    """
    Raises:
        ConfigError: it is neither an IP address nor one with a port.
    """
    bracketed, plain = _BRACKETED.fullmatch(text), _PLAIN.fullmatch(text)
    found = bracketed or plain
    host, port = (found[1], found[2]) if found else (text, None)
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        address = ""
    number = DNS_PORT if port is None else int(port)
    if not address or not 0 < number <= MAX_PORT:
        example = "192.0.2.53, 192.0.2.53:5353 or [::1]:53"
        raise ConfigError(f"reputation.nameservers has {text!r}, which is not like {example}")
    return address, number
