"""A `GET` of a URL: any status below 400 is good. Redirects are not followed, and bodies not read."""

from __future__ import annotations

import base64
import re

from forebay.server.infrastructure.connection import Connection, Dialler
from forebay.server.infrastructure.failure import ProbeFailed, plain
from forebay.server.infrastructure.probes.reply import Probe, Reply

MAX_LINES = 200
"""The most lines of heads, those of interim answers included; servers send at most some fifty."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: (.*))?")


def http(dialler: Dialler) -> Probe:
    address = dialler.address
    lines = [f"GET {address.target} HTTP/1.1", f"Host: {address.authority}", "User-Agent: forebay", "Accept: */*"]
    if address.user is not None:
        pair = base64.b64encode(f"{address.user}:{address.password or ''}".encode()).decode()
        lines.append(f"Authorization: Basic {pair}")
    request = "".join(f"{line}\r\n" for line in [*lines, "Connection: close", ""]).encode()

    async def probe() -> Reply:
        async with dialler.connected() as connection:
            await connection.send(request)
            status, phrase = await _status(connection)
        if status >= 400:
            raise ProbeFailed(f"it answered {status} {phrase}".rstrip())
        return Reply()

    return probe


async def _status(connection: Connection) -> tuple[int, str]:
    """The status of the answer itself, and its phrase. Interim answers, 1xx, are passed over (RFC 9110, 15.2)."""
    lines = 0
    while True:
        first = await connection.line()
        found = _STATUS.fullmatch(first)
        if found is None:
            raise ProbeFailed(f"it answered no HTTP: {plain(first)}")
        # The head has to be whole: a server that stalls in the middle of it does not answer.
        while await connection.line():
            lines += 1
            if lines > MAX_LINES:
                raise ProbeFailed(f"the answer has more than {MAX_LINES} lines before its body")
        if found[1][:1] != b"1":
            return int(found[1]), plain(found[2] or b"")
