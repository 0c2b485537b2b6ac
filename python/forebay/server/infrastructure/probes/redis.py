"""`PING` to a Redis, after `AUTH` where the URL has a password."""

from __future__ import annotations

from forebay.server.infrastructure.connection import Connection, Dialler
from forebay.server.infrastructure.failure import ProbeFailed, plain
from forebay.server.infrastructure.probes.reply import Probe, Reply


def redis(dialler: Dialler) -> Probe:
    address = dialler.address
    # Without a user it is the default one's password, as Redis before 6 knows it alone.
    login = [text for text in (address.user, address.password) if text] if address.password else []

    async def probe() -> Reply:
        async with dialler.connected() as connection:
            if login:
                await _ask(connection, ["AUTH", *login], b"+OK")
            await _ask(connection, ["PING"], b"+PONG")
        return Reply()

    return probe


async def _ask(connection: Connection, words: list[str], expected: bytes) -> None:
    """One command in the Redis serialization protocol; the answers that are expected are simple strings."""
    encoded = [word.encode() for word in words]
    parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)]
    await connection.send(b"".join(parts))
    line = await connection.line()
    if line != expected:
        raise ProbeFailed(f"{words[0]} was answered with {plain(line)!r}")
