"""The address of a Redis. Its password is shown to nobody."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from forebay.errors import ConfigError

SCHEMES = ("redis", "rediss", "unix")

HIDDEN = "***"

_SHORT_SECRET = 4
"""A password up to this length is not looked for in other texts: it would stand in many words by chance."""


def shown_url(url: str) -> str:
    """The address as logs and errors may show it: without user, password and options."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = f"{HIDDEN}@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{user}{host}{parts.path}" if parts.scheme else HIDDEN


def secrets_in(url: str) -> list[str]:
    """The passwords in an address, as they stand there and as they are sent."""
    parts = urlsplit(url)
    given = parts.netloc.rpartition("@")[0].partition(":")[2]
    found = [given, unquote(given), *parse_qs(parts.query).get("password", [])]
    return [secret for secret in dict.fromkeys(found) if len(secret) > _SHORT_SECRET]


def check_url(url: str) -> None:
    """
    Raises:
        ConfigError: it is not the address of a Redis.
    """
    try:
        parts = urlsplit(url)
        # Asked for, a port that is none raises ValueError.
        _ = parts.port
        complete = bool(parts.path if parts.scheme == "unix" else parts.hostname)
        if "@" in parts.path and "@" not in parts.netloc and parts.scheme != "unix":
            # What stands before it would be taken for the host, and shown.
            raise ConfigError(f"cache is {HIDDEN}, which has a / before its @: write %2F for it in the password")
    except ValueError:
        complete, parts = False, urlsplit("")
    if parts.scheme not in SCHEMES or not complete:
        raise ConfigError(
            f"cache is {HIDDEN if set(url) & set('@?') else repr(url)}, which is not like redis://host:6379/0, "
            "rediss://user:password@host:6379/0 or unix:///run/redis.sock"
        )
