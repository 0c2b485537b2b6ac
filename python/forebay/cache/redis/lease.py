"""The right to write: one server has it at a time, by a number that only grows."""

from __future__ import annotations

import os
import secrets
import socket

from forebay.cache.redis.connection import Connection
from forebay.cache.redis.layout import Layout
from forebay.cache.redis.scripts import FREE, TAKE

LEASE_SECONDS = 6.0
"""How long a lease holds after its last renewal, and so how long nobody writes after a crash."""

RENEW_SECONDS = 1.0
"""How often it is renewed at least; and how often a server that does not have it asks for it."""


class Lease:
    """The lease as this server knows it. Redis alone decides whether it still holds: every write gives its value along,
    and a server that was stopped meanwhile finds another one there, or none.

    Attributes:
        writer: the name of this server in Redis: host, process, and a random part.
        value: `<fence>:<writer>`; None when this server does not have it.
        other: the value of the server that has it, as far as known.
    """

    def __init__(self, connection: Connection, layout: Layout, seconds: float = LEASE_SECONDS) -> None:
        self.milliseconds = int(seconds * 1000)
        self.writer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(8)}"
        self.value: str | None = None
        self.other: str | None = None
        self._connection = connection
        self._layout = layout

    @property
    def fence(self) -> str:
        """The number of the lease, empty without one."""
        return (self.value or "").partition(":")[0]

    async def take(self) -> bool:
        """Asks for the lease; False when another server has it.

        Raises:
            RedisProblem: Redis did not answer, or takes no writes.
        """
        answer = await self._connection.script(
            TAKE, (self._layout.lease, self._layout.fence), (self.writer, self.milliseconds)
        )
        taken, value = int(answer[0]), bytes(answer[1]).decode(errors="replace")
        self.value, self.other = (value, None) if taken else (None, value)
        return self.value is not None

    def lost(self) -> None:
        """Notes that Redis did not find the lease to be this one."""
        self.value = None

    async def free(self) -> None:
        """Gives the lease back, for the next server to have it at once.

        Raises:
            RedisProblem: Redis did not answer. It ends by itself then.
        """
        if self.value is not None:
            await self._connection.script(FREE, (self._layout.lease,), (self.value,))
            self.value = None
