"""Large answers under way: the memory they take together is bounded, and a reader that takes nothing is cut off.

Granian keeps a whole answer until the client has taken it, and does not say when that is; the kernel does (see
`writer`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter, deque
from dataclasses import dataclass

from forebay import errors
from forebay.server.http.stream_writer import acknowledged, break_off

SMALL_BYTES = 256 << 10
"""An answer up to this size is not followed: one on each connection takes as much as the connections' read buffers."""

MAX_BYTES = 128 << 20
"""Of all larger answers, in bodies. Sixteen of the largest pages; further readers wait for their turn."""

WAIT_SECONDS = 10.0
"""How long a reader waits for room. Those who stand still have been cut off by then."""

STALLED_SECONDS = 10.0
"""As long as a tail that takes nothing is kept."""

SLOWEST_BYTES_A_SECOND = 64 << 10
"""What a reader has to take of its answer after those seconds: the largest page has room for some two minutes, so that
a few readers that take a byte now and then do not keep it from everybody."""

LOOK_SECONDS = 0.02


class Room:
    """What one answer takes of the budget, from before it is made; given back once."""

    __slots__ = ("_of", "_owner", "size")

    def __init__(self, of: Deliveries, owner: bytes, size: int) -> None:
        self._of = of
        self._owner = owner
        self.size = size

    def shrink(self, size: int) -> None:
        """Gives back what is not needed."""
        if size < self.size:
            self._of.free(self._owner, self.size - size)
            self.size = size

    def release(self) -> None:
        self.shrink(0)


@dataclass(slots=True)
class _Delivery:
    room: Room
    connection: socket.socket
    until: int
    """What the kernel counts as acknowledged when all of it is taken."""
    taken: int
    at: float
    """When the client took something last."""
    ends: float
    """When it must have taken all."""


class Deliveries:
    """The budget of large answers. Lives on the event loop."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._used = 0
        self._held: Counter[bytes] = Counter()
        """By those who hold something."""
        self._waiting: deque[tuple[asyncio.Future[Room], bytes, int]] = deque()
        self._under_way: list[_Delivery] = []
        self._look: asyncio.TimerHandle | None = None

    async def room(self, owner: bytes, size: int) -> Room:
        """Takes room for an answer of at most `size` bytes, in the order of those who ask. `owner`, a token's digest,
        holds at most half of all.

        Raises:
            Saturated: readers who do not take their answers have all of it.
        """
        if not self._waiting and self._fits(owner, size):
            return self._take(owner, size)
        turn: asyncio.Future[Room] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, owner, size))
        self._grant()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await asyncio.shield(turn)
        except BaseException as error:
            self._leave(turn)
            if isinstance(error, TimeoutError):
                raise errors.Saturated("answers that others have not taken yet fill their memory") from None
            raise

    def _leave(self, turn: asyncio.Future[Room]) -> None:
        """Ends the waiting of one who gives up; the room may have come in the same moment."""
        if turn.done():
            turn.result().release()
            return
        self._waiting = deque(entry for entry in self._waiting if entry[0] is not turn)
        self._grant()

    def _fits(self, owner: bytes, size: int) -> bool:
        return self._used + size <= self._limit and self._held[owner] + size <= self._limit // 2

    def _take(self, owner: bytes, size: int) -> Room:
        self._used += size
        self._held[owner] += size
        return Room(self, owner, size)

    def free(self, owner: bytes, size: int) -> None:
        """Of a room's, by itself."""
        self._used -= size
        self._held[owner] -= size
        if not self._held[owner]:
            del self._held[owner]
        self._grant()

    def _grant(self) -> None:
        """Gives room in order, but that nobody waits behind those whose own share is used up."""
        kept: deque[tuple[asyncio.Future[Room], bytes, int]] = deque()
        while self._waiting and self._used + self._waiting[0][2] <= self._limit:
            turn, owner, size = self._waiting.popleft()
            if self._fits(owner, size):
                turn.set_result(self._take(owner, size))
            else:
                kept.append((turn, owner, size))
        self._waiting.extendleft(reversed(kept))

    def follow(self, room: Room, connection: socket.socket | None) -> None:
        """Keeps `room` until the client has taken the answer of that size, which is sent right after this call, or is
        gone. `connection` is a descriptor of its own; None where the system does not tell what a client takes."""
        before = None if connection is None else acknowledged(connection)
        if connection is None or before is None:
            room.release()
            if connection is not None:
                connection.close()
            return
        now = asyncio.get_running_loop().time()
        ends = now + STALLED_SECONDS + room.size / SLOWEST_BYTES_A_SECOND
        self._under_way.append(_Delivery(room, connection, before + room.size, before, now, ends))
        self._look_later()

    def _look_later(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look_at_all)

    def _look_at_all(self) -> None:
        self._look = None
        now = asyncio.get_running_loop().time()
        self._under_way = [delivery for delivery in self._under_way if not self._ended(delivery, now)]
        if self._under_way:
            self._look_later()

    def _ended(self, delivery: _Delivery, now: float) -> bool:
        taken = acknowledged(delivery.connection)
        if taken is not None and taken < delivery.until:
            if taken > delivery.taken:
                delivery.taken, delivery.at = taken, now
            if now - delivery.at < STALLED_SECONDS and now < delivery.ends:
                return False
            break_off(delivery.connection)
        with contextlib.suppress(OSError):
            delivery.connection.close()
        delivery.room.release()
        return True
