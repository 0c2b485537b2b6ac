"""A connection to a dependency, for the time of one probe."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

from forebay.errors import ConfigError
from forebay.server.infrastructure.address import Address
from forebay.server.infrastructure.failure import ProbeFailed
from forebay.server.infrastructure.names import Names

MAX_TRIED = 4
"""The most addresses of a host that are tried, each for an equal part of the time: one that swallows packets, as with a
broken IPv6, must not hide the others."""

LINE_BYTES = 8 << 10
"""The longest line of an answer that is read. Greetings have some hundred bytes, and headers rarely more."""


class Connection:
    """What a probe says and hears."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """
        Raises:
            OSError: the connection is broken.
        """
        self._writer.write(data)
        await self._writer.drain()

    async def line(self) -> bytes:
        """The next line without its end.

        Raises:
            EOFError: there is none.
            ProbeFailed: it does not end within `LINE_BYTES`.
        """
        try:
            line = await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise ProbeFailed(f"the answer has a line of more than {LINE_BYTES} bytes") from None
        return line.rstrip(b"\r\n")

    async def exactly(self, size: int) -> bytes:
        """
        Raises:
            EOFError: there are fewer bytes.
        """
        return await self._reader.readexactly(size)


@dataclass(slots=True, frozen=True)
class Dialler:
    """Opens connections to one address."""

    address: Address
    names: Names
    context: ssl.SSLContext | None
    timeout_seconds: float

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A connection, which is cut off at the end.

        Raises:
            OSError: none of the host's addresses takes it.
        """
        reader, writer = await self._opened()
        try:
            yield Connection(reader, writer)
        finally:
            # Nothing is left to be sent, and closing politely would wait for the other side.
            writer.transport.abort()

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = self.address
        failed: OSError | None = None
        hosts = (await self.names.addresses(address.host))[:MAX_TRIED]
        for host in hosts:
            try:
                async with asyncio.timeout(self.timeout_seconds / len(hosts)):
                    return await asyncio.open_connection(
                        host,
                        address.port,
                        limit=LINE_BYTES,
                        ssl=self.context,
                        server_hostname=address.host if self.context else None,
                    )
            except OSError as error:
                failed = error
        raise failed or OSError("its name has no address")


def dialler(place: str, address: Address, names: Names, ca_file: str, timeout_seconds: float) -> Dialler:
    """What opens connections to `address`; with TLS it trusts the authorities in `ca_file`, else those of the system.

    Raises:
        ConfigError: the file has no certificates, or is given where there is no TLS.
    """
    if not address.tls:
        if ca_file:
            raise ConfigError(f"{place}.ca_file is of no use: the connection has no TLS")
        return Dialler(address, names, None, timeout_seconds)
    try:
        return Dialler(address, names, ssl.create_default_context(cafile=ca_file or None), timeout_seconds)
    except OSError as error:
        raise ConfigError(f"{place}.ca_file {ca_file!r} cannot be used: {error.strerror or error}") from None
