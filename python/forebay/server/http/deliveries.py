"""Large answers under way: the memory they take together is bounded, and a reader that takes nothing is cut off.

Granian keeps a whole answer until the client has taken it, and does not say when that is; the front does.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forebay import errors

if TYPE_CHECKING:
    from forebay._forebay import Tunnel

SMALL_BYTES = 256 << 10
"""Answers up to this size are not followed: one on each connection takes as much as the connections' read buffers."""

MAX_BYTES = 128 << 20
"""The bodies of all larger answers together: sixteen of the largest pages. Further readers wait for their turn."""

WAIT_SECONDS = 10.0
"""How long a reader waits for room. By then the readers that stand still have been cut off."""

STALLED_SECONDS = 10.0
"""A reader that takes nothing for so long is cut off, as a tail is."""

SLOWEST_BYTES_A_SECOND = 64 << 10
"""The rate at which a reader has to take its answer: some two minutes for the largest page, so that a few readers that
take a byte now and then do not keep the memory from everybody."""

LOOK_SECONDS = 0.02


class Room:
    """The part of the budget that one answer takes, from before it is made until it is released once."""

    __slots__ = ("_of", "_owner", "size")

    def __init__(self, of: Deliveries, owner: bytes, size: int) -> None:
        self._of = of
        self._owner = owner
        self.size = size

    def shrink(self, size: int) -> None:
        """Gives back what is beyond `size`."""
        if size < self.size:
            self._of.free(self._owner, self.size - size)
            self.size = size

    def release(self) -> None:
        self.shrink(0)


@dataclass(slots=True)
class _Delivery:
    room: Room
    tunnel: Tunnel
    until: int
    """`Tunnel.taken` once the client has taken the whole answer."""
    taken: int
    at: float
    """When the client last took something."""
    ends: float
    """When the client must have taken all."""


class Deliveries:
    """The budget of large answers. Only the event loop uses it."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._used = 0
        self._held: Counter[bytes] = Counter()
        """Bytes held by each owner that holds some."""
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
        """Takes a reader that gives up out of the queue. Its room may have come in the same moment."""
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
        """Gives back bytes of a room; only `Room` calls it."""
        self._used -= size
        self._held[owner] -= size
        if not self._held[owner]:
            del self._held[owner]
        self._grant()

    def _grant(self) -> None:
        """Gives room in the order of the queue, passing over those whose own share is used up."""
        kept: deque[tuple[asyncio.Future[Room], bytes, int]] = deque()
        while self._waiting and self._used + self._waiting[0][2] <= self._limit:
            turn, owner, size = self._waiting.popleft()
            if self._fits(owner, size):
                turn.set_result(self._take(owner, size))
            else:
                kept.append((turn, owner, size))
        self._waiting.extendleft(reversed(kept))

    def follow(self, room: Room, tunnel: Tunnel | None) -> None:
        """Keeps `room` until the client has taken the answer of that size, which is sent right after this call, or is
        gone. `tunnel` is None for a client that did not come through the front."""
        if tunnel is None:
            room.release()
            return
        before = tunnel.taken
        now = asyncio.get_running_loop().time()
        ends = now + STALLED_SECONDS + room.size / SLOWEST_BYTES_A_SECOND
        self._under_way.append(_Delivery(room, tunnel, before + room.size, before, now, ends))
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
        taken = delivery.tunnel.taken
        if not delivery.tunnel.ended and taken < delivery.until:
            if taken > delivery.taken:
                delivery.taken, delivery.at = taken, now
            if now - delivery.at < STALLED_SECONDS and now < delivery.ends:
                return False
            delivery.tunnel.reset()
        delivery.room.release()
        return True
