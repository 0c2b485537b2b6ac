"""A consumer of one stream inside the process: `log.consumer(group, stream)`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from forebay._forebay import Filter
from forebay.errors import Closed, ConsumerGroupNotFound, FencedMember, NotFound
from forebay.records import Records

if TYPE_CHECKING:
    from forebay._forebay import Engine

DEFAULT_LIMIT = 1000
"""Records that one poll takes at most."""

WAIT_SECONDS = 0.5
"""How long an iterator waits in one piece: so soon it notices that the consumer was closed, or that an idle member's
lease needs a call."""


class Message(NamedTuple):
    """One record with its place. `timestamp` is its event time in microseconds since 1970 UTC."""

    partition: int
    offset: int
    key: bytes | None
    value: Any
    headers: dict[str, str]
    timestamp: int


class Consumer:
    """Reads a stream as a group: `for records in consumer` gives `Records` of one partition each, for ever, and waits
    when there are none; `async for` does too. What was given is done with when `commit()` returns.

    Each partition goes on at the group's committed offset, `earliest` in a new group; `offset` (`"earliest"`,
    `"latest"`) begins elsewhere. With `member` the partitions are shared with the group's other members: who does not
    poll or commit for 30 seconds loses its own to them, and its next `commit` raises `FencedMember`; what was not
    committed is then given out again.

    Not for several threads at once.
    """

    def __init__(
        self,
        engine: Callable[[], Engine],
        group: str,
        stream: str,
        *,
        member: str | None = None,
        offset: str | None = None,
        on_reset: str = "error",
        limit: int = DEFAULT_LIMIT,
        filter: str | None = None,  # noqa: A002 # the HTTP parameter's name
    ) -> None:
        self.group = group
        self.stream = stream
        self.member = member
        self._engine = engine
        self._offset = offset
        self._on_reset = on_reset
        self._limit = limit
        self._filter = None if filter is None else Filter(filter)
        self._read: dict[int, int] = {}
        self._given: dict[int, int] = {}
        self._buffer: deque[Records] = deque()
        self._recheck = 0.0
        self._closed = False

    def __repr__(self) -> str:
        of = "" if self.member is None else f", member {self.member!r}"
        return f"<Consumer of stream {self.stream!r} in group {self.group!r}{of}{', closed' * self._closed}>"

    def poll(self, timeout: float = 0.0) -> list[Records]:
        """What comes next, one `Records` a partition; empty when nothing comes within `timeout` seconds.

        Raises:
            StreamNotFound, StorageUnavailable, Closed
            InvalidOffset: the group's position is not there any more, and `on_reset` is `error`.
        """
        deadline = time.monotonic() + timeout
        while True:
            batches = self._poll()
            left = deadline - time.monotonic()
            if batches or left <= 0:
                for records in batches:
                    self._given[records.partition] = records.next_offset
                return batches
            self._wait(left)

    def __iter__(self) -> Iterator[Records]:
        while not self._closed:
            records = self._next(WAIT_SECONDS)
            if records is not None:
                yield records

    async def __aiter__(self) -> AsyncIterator[Records]:
        loop = asyncio.get_running_loop()
        while not self._closed:
            # What is in hand costs no thread.
            records = self._take() or await loop.run_in_executor(None, self._next, WAIT_SECONDS)
            if records is not None:
                yield records

    def messages(self) -> Iterator[Message]:
        """The same, record by record; `commit()` then counts the records that were given."""
        for records in self:
            partition = records.partition
            places = zip(records.offsets.tolist(), records.timestamps.tolist(), strict=True)
            for index, (offset, timestamp) in enumerate(places):
                self._given[partition] = offset + 1
                key, value, headers = records.key(index), records[index], records.headers(index)
                yield Message(partition, offset, key, value, headers, timestamp)

    def commit(self, *, force: bool = False) -> dict[int, int]:
        """Commits what was given so far, durably, and returns the next offset of each partition. Does nothing when
        nothing was given.

        Raises:
            FencedMember: a lease is gone; nothing is committed, and the next poll begins at what is.
        """
        offsets = [(self.stream, partition, offset) for partition, offset in sorted(self._given.items())]
        if offsets:
            try:
                self._engine().commit_offsets(self.group, offsets, self.member, force)
            except FencedMember:
                self._begin_anew()
                raise
        committed, self._given = self._given, {}
        return committed

    def close(self) -> None:
        """Ends the iterators and gives the lease back. Nothing is committed. May be called again."""
        if self._closed:
            return
        self._closed = True
        if self.member is not None:
            try:
                self._engine().leave_group(self.group, self.member)
            except (NotFound, ConsumerGroupNotFound, Closed):
                return

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin_anew(self) -> None:
        self._read, self._given = {}, {}
        self._buffer.clear()

    def _poll(self) -> list[Records]:
        if self._closed:
            raise Closed("the consumer is closed")
        polled = self._engine().poll(
            self.group,
            self.stream,
            member=self.member,
            offset=self._offset,
            limit=self._limit,
            on_reset=self._on_reset,
            filter=self._filter,
            resume=list(self._read.items()),
        )
        # Partitions that come later begin at what is committed, wherever the first ones began.
        self._offset = None
        self._read = dict(polled.positions)
        self._given = {partition: offset for partition, offset in self._given.items() if partition in self._read}
        self._recheck = WAIT_SECONDS if polled.recheck_ms is None else polled.recheck_ms / 1000
        return [Records(batch) for batch in polled.batches]

    def _wait(self, seconds: float) -> None:
        milliseconds = max(1, int(min(seconds, self._recheck) * 1000))
        self._engine().wait(self.stream, list(self._read.items()), milliseconds)

    def _take(self) -> Records | None:
        if not self._buffer:
            return None
        records = self._buffer.popleft()
        self._given[records.partition] = records.next_offset
        return records

    def _next(self, seconds: float) -> Records | None:
        if not self._buffer:
            self._buffer.extend(self._poll())
        if not self._buffer:
            self._wait(seconds)
            self._buffer.extend(self._poll())
        return self._take()
