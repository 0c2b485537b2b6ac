"""The greeting of a mail server (RFC 5321, 3.1), and a goodbye. Nothing is sent, and no session is begun."""

from __future__ import annotations

import re

from forebay.server.infrastructure.connection import Connection, Dialler
from forebay.server.infrastructure.failure import ProbeFailed, plain
from forebay.server.infrastructure.probes.reply import Probe, Reply

MAX_LINES = 50
"""The most lines of one reply; greetings have one to five."""

READY = b"220"
CLOSING = b"221"

_LINE = re.compile(rb"([2-5][0-9][0-9])([ -]?)(.*)")


def smtp(dialler: Dialler) -> Probe:
    async def probe() -> Reply:
        async with dialler.connected() as connection:
            await _expect(connection, READY, "the greeting is")
            await connection.send(b"QUIT\r\n")
            # A server that does not see the goodbye through would log a lost connection for each probe.
            await _expect(connection, CLOSING, "QUIT was answered with")
        return Reply()

    return probe


async def _expect(connection: Connection, code: bytes, what: str) -> None:
    """Reads one reply, which may have several lines (RFC 5321, 4.2.1)."""
    for _ in range(MAX_LINES):
        line = await connection.line()
        found = _LINE.fullmatch(line)
        if found is None or found[1] != code:
            raise ProbeFailed(f"{what} {plain(line)!r}")
        if found[2] != b"-":
            return
    raise ProbeFailed(f"{what} more than {MAX_LINES} lines")
