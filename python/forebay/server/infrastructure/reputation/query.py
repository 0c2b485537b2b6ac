"""What is asked of a block list, and what its answers mean (RFC 5782)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from forebay.server.infrastructure.reputation.settings import IpAddress

LISTINGS = ipaddress.IPv4Network("127.0.0.0/8")
"""The only answers that are listings (section 2.1)."""

REFUSALS = ipaddress.IPv4Network("127.255.255.0/24")
"""Answers by which lists say that they do not answer: to public resolvers, to who asks too much, to a mistyped zone."""

LISTED_TEST = {4: ipaddress.ip_address("127.0.0.2"), 6: ipaddress.ip_address("::ffff:127.0.0.2")}
UNLISTED_TEST = {4: ipaddress.ip_address("127.0.0.1"), 6: ipaddress.ip_address("::ffff:127.0.0.1")}
"""By the version of IP: what every list has, and what none may have (section 5)."""


class Verdict(NamedTuple):
    """Whether an answer lists the address, and what of it is no answer of a list."""

    listed: bool
    error: str | None


def query_name(address: IpAddress, zone: str) -> str:
    """The octets of an IPv4 address, or the 32 nibbles of an IPv6 one, in reverse, before the zone (2.1, 2.4)."""
    # Not `reverse_pointer`: of IPv4-mapped addresses, which the test entries are, Python 3.13.0 makes other names.
    parts = str(address).split(".") if address.version == 4 else list(f"{int(address):032x}")
    return f"{'.'.join(reversed(parts))}.{zone.rstrip('.')}."


def verdict(answers: Sequence[str]) -> Verdict:
    """What the addresses in an answer mean; none of them is that the address is not listed."""
    found = [ipaddress.IPv4Address(answer) for answer in answers]
    listings = [each for each in found if each in LISTINGS and each not in REFUSALS]
    refusals = [str(each) for each in found if each in REFUSALS]
    strangers = [str(each) for each in found if each not in LISTINGS]
    error = None
    if strangers:
        error = f"it answered {', '.join(strangers)}, which no block list does: somebody else answers for its name"
    if refusals:
        error = (
            f"it answered {', '.join(refusals)}, by which a list refuses to answer: the name server is a public one or "
            "asks too much, or the zone is mistyped"
        )
    return Verdict(bool(listings), error)
