"""`log.consumer(group, stream)`: consumes a stream inside the process."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from forebay._forebay import Filter
from forebay.embedded.records import Records
from forebay.errors import Closed, ConsumerGroupNotFound, FencedMember, NotFound

if TYPE_CHECKING:
    from forebay._forebay import Engine

DEFAULT_LIMIT = 1000
"""The most records of one poll."""

WAIT_SECONDS = 0.5
"""The longest single wait of an iterator, after which it notices a closed consumer and renews an idle member's
lease."""


MAX_SHOWN_BYTES = 80
"""The most bytes of a value in a message's repr."""


class Message:
    """One record with its partition and offset. Key, headers and value are decoded on access, so that one that cannot
    be decoded does not hide the others.

    Attributes:
        partition: the partition of the record.
        offset: its offset in the partition.
    """

    __slots__ = ("_index", "_records", "offset", "partition")

    def __init__(self, records: Records, index: int, offset: int) -> None:
        self.partition = records.partition
        self.offset = offset
        self._records = records
        self._index = index

    @property
    def timestamp(self) -> int:
        """Event time in microseconds since 1970 UTC."""
        return self._records.timestamp(self._index)

    @property
    def key(self) -> bytes | None:
        return self._records.key(self._index)

    @property
    def headers(self) -> dict[str, str]:
        return self._records.headers(self._index)

    @property
    def raw(self) -> bytes:
        """The JSON of the value, as it was sent."""
        return self._records.raw(self._index)

    @property
    def value(self) -> Any:
        """The decoded value.

        Raises:
            Malformed: the value cannot be decoded; `raw` has its bytes.
        """
        return self._records[self._index]

    def __repr__(self) -> str:
        shown = self.raw[:MAX_SHOWN_BYTES].decode(errors="replace")
        more = "…" if len(self.raw) > MAX_SHOWN_BYTES else ""
        return f"Message(partition={self.partition}, offset={self.offset}, key={self.key!r}, value={shown}{more})"


class Consumer:
    """Reads a stream as a consumer group. `for records in consumer` and `async for` return `Records` of one partition
    each, without an end, and wait when there are none. `commit()` commits all records that were returned.

    Each partition begins at the group's committed offset, `earliest` in a new group; `offset` (`"earliest"`,
    `"latest"`) begins elsewhere. With `member` the partitions are shared with the group's other members. A member that
    does not poll or commit for 30 seconds loses its partitions to them, its next `commit` raises `FencedMember`, and
    its uncommitted records are returned to another member.

    Damaged records are left out and counted by `Records.records_lost`. Records that cannot be read now are never
    skipped: if no other partition has records, `StorageUnavailable` is raised and the next call tries again; otherwise
    the other partitions go on, and `unreadable` has the reason.

    Use a consumer from one thread at a time.
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
        self.unreadable: dict[int, str] = {}
        """The partitions whose next record could not be read in the last read, with the reasons."""

    def __repr__(self) -> str:
        of = "" if self.member is None else f", member {self.member!r}"
        return f"<Consumer of stream {self.stream!r} in group {self.group!r}{of}{', closed' * self._closed}>"

    def poll(self, timeout: float = 0.0) -> list[Records]:
        """The next records, one `Records` for each partition; empty when none come within `timeout` seconds.

        Raises:
            StreamNotFound, Closed
            StorageUnavailable: the next records cannot be read now; the next call tries again.
            InvalidOffset: the group's position has been deleted, and `on_reset` is `error`.
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
            # Buffered records need no thread.
            records = self._take()
            if records is None:
                records = await loop.run_in_executor(None, self._next, WAIT_SECONDS)
            if records is not None:
                yield records

    def messages(self) -> Iterator[Message]:
        """Iterates record by record. `commit()` then commits up to the last record that was returned."""
        for records in self:
            partition = records.partition
            for index, offset in enumerate(records.places()):
                self._given[partition] = offset + 1
                yield Message(records, index, offset)
            # Moves behind damaged records after the last one, too.
            self._given[partition] = records.next_offset

    def commit(self, *, force: bool = False) -> dict[int, int]:
        """Commits the records that were returned so far, durably, and returns the next offset of each partition. Does
        nothing when there are none.

        Raises:
            FencedMember: a lease has expired. Nothing is committed, and the next poll begins at the committed offsets.
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
        """Ends the iterators and gives the lease back. Commits nothing. May be called again."""
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
        # Partitions that are assigned later begin at their committed offsets.
        self._offset = None
        self._read = dict(polled.positions)
        self._given = {partition: offset for partition, offset in self._given.items() if partition in self._read}
        self.unreadable = dict(polled.unreadable)
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
