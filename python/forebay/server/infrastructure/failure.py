"""Why a probe failed, in words."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl

MAX_SHOWN = 200
"""The most characters of what another server said: a line or two."""


class ProbeFailed(Exception):
    """The other side answered, and not as it should; the message says how."""


def plain(said: bytes | str) -> str:
    """What another server said, as one printable line."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    kept = "".join(character if character.isprintable() else " " for character in text)
    kept = " ".join(kept.split())
    return kept if len(kept) <= MAX_SHOWN else f"{kept[: MAX_SHOWN - 1]}…"


def reason_of(error: Exception, timeout_ms: int) -> str:
    """The failure of a probe as an operator reads it."""
    if isinstance(error, ProbeFailed):
        return str(error)
    if isinstance(error, asyncio.IncompleteReadError | EOFError):
        return "the connection was closed in the middle of the answer"
    # Before OSError, of which these are kinds.
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_ms} ms"
    if isinstance(error, socket.gaierror):
        return f"its name is not known: {plain(error.strerror or str(error))}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {plain(str(error))}"
    if isinstance(error, OSError):
        # The event loop puts the address into the text; the number says it in the system's words.
        return "the connection failed: " + (os.strerror(error.errno) if error.errno else plain(str(error)))
    return plain(f"{type(error).__name__}: {error}")
