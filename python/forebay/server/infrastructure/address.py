"""Where a dependency is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from forebay.errors import ConfigError


class Scheme(NamedTuple):
    """What a scheme of URLs stands for."""

    port: int
    tls: bool


@dataclass(slots=True, frozen=True)
class Address:
    """A host with its port. `target` is the path and the query of a URL, `/` at least."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    target: str = "/"

    @property
    def authority(self) -> str:
        """Host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def address_of(place: str, url: str, schemes: Mapping[str, Scheme]) -> Address:
    """The address in a URL. Errors do not show it, since it may have a password.

    Raises:
        ConfigError: it is no URL of one of these schemes with a host.
    """
    examples = ", ".join(f"{scheme}://host:{known.port}" for scheme, known in schemes.items())
    refused = ConfigError(f"{place}.url is not like {examples}")
    try:
        parts = urlsplit(url)
        # Asked for, a port that is none raises ValueError.
        given = parts.port
    except ValueError:
        raise refused from None
    known = schemes.get(parts.scheme)
    # A password with a / in it ends the host too early, and what is left of it would be taken for a path.
    if known is None or not parts.hostname or ("@" in parts.path and "@" not in parts.netloc):
        raise refused
    if not url.isascii() or any(character.isspace() for character in url):
        raise ConfigError(f"{place}.url has a character that stands in no URL: write it as %20 and the like")
    user, password = (None if text is None else unquote(text) for text in (parts.username, parts.password))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.hostname, given or known.port, known.tls, user, password, target)
