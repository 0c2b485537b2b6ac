"""The engine without HTTP: `forebay.open(path)`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from forebay._forebay import Engine, Receipt, RecordBatch, StreamDescription
from forebay.config import check_options
from forebay.errors import Closed, InvalidRequest

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

DEFAULT_READ_RECORDS = 10_000
DEFAULT_READ_BYTES = 8 << 20


@dataclass(slots=True, frozen=True)
class Record:
    """What is appended.

    Attributes:
        value: any value that JSON can hold.
        key: chooses the partition: equal keys, equal partition. None spreads whole batches over the partitions.
        headers: names and texts kept beside the value.
        timestamp: event time in microseconds since 1970 UTC; None takes the time of the append.
    """

    value: Any
    key: str | bytes | None = None
    headers: Mapping[str, str] | None = None
    timestamp: int | None = None

    def packed(self) -> tuple[bytes | None, bytes, bytes, int | None]:
        key = self.key.encode() if isinstance(self.key, str) else self.key
        try:
            value = msgspec.json.encode(self.value)
            headers = msgspec.json.encode(self.headers) if self.headers else b""
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"the value or a header cannot be written as JSON: {error}") from None
        return key, value, headers, self.timestamp


class Records(Sequence[Any]):
    """Consecutive records of one partition, `len(records)` of them; values are decoded when asked for."""

    def __init__(self, batch: RecordBatch) -> None:
        self._batch = batch

    @property
    def partition(self) -> int:
        return self._batch.partition

    @property
    def next_offset(self) -> int:
        """Where the next read goes on."""
        return self._batch.next_offset

    @property
    def offsets(self) -> NDArray[numpy.int64]:
        """Offset of each record: int64, shape (n,), read-only, a view without a copy."""
        import numpy

        return numpy.frombuffer(self._batch.offsets, dtype=numpy.int64)

    @property
    def timestamps(self) -> NDArray[numpy.int64]:
        """Event time of each record in microseconds since 1970 UTC: int64, shape (n,), read-only, a view without a
        copy. `.view("datetime64[us]")` makes dates of it, without a copy too."""
        import numpy

        return numpy.frombuffer(self._batch.timestamps, dtype=numpy.int64)

    def __len__(self) -> int:
        return len(self._batch)

    def __getitem__(self, index: Any) -> Any:
        """The decoded value at `index`, or a list of them for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return msgspec.json.decode(self._batch.value(self._place(index)))

    def __iter__(self) -> Iterator[Any]:
        for index in range(len(self)):
            yield msgspec.json.decode(self._batch.value(index))

    def raw(self, index: int) -> bytes:
        """The JSON of the value at `index`, as it was sent."""
        return self._batch.value(self._place(index))

    def key(self, index: int) -> bytes | None:
        return self._batch.key(self._place(index))

    def headers(self, index: int) -> dict[str, str]:
        packed = self._batch.headers(self._place(index))
        return msgspec.json.decode(packed, type=dict[str, str]) if packed else {}

    def ndjson(self) -> bytes:
        """One line a record: `{"partition","offset","timestamp","key","value"}`."""
        return self._batch.ndjson()

    def _place(self, index: int) -> int:
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"index {index} of {length} records")
        return index % length


class Log:
    """An open log. Its methods block, give the GIL free while they do, and may be called from any thread.

    Every method raises `Closed` after `close()`.
    """

    def __init__(self, engine: Engine) -> None:
        self._open: Engine | None = engine

    @property
    def _engine(self) -> Engine:
        engine = self._open
        if engine is None:
            raise Closed("the log is closed")
        return engine

    def append(self, stream: str, records: Any | Record | Iterable[Record], *, partition: int | None = None) -> Receipt:
        """Appends one value, one `Record`, or a list or tuple of `Record`s, as one atomic batch: after a crash all of
        it is there or none.

        Returns when the batch is as durable as the log's `durability` says.

        Raises:
            StreamNotFound: create it first.
            InvalidRequest: no such partition, no records, or a value that is not JSON.
            PayloadTooLarge: a record or the batch is beyond its limit.
            Saturated: the ring is full; try again.
            StorageUnavailable: the disk is full or failed.
        """
        if isinstance(records, Record):
            batch = [records]
        elif isinstance(records, list | tuple) and all(isinstance(record, Record) for record in records):
            batch = list(records)
        else:
            batch = [Record(records)]
        if not batch:
            raise InvalidRequest(
                "there are no records to append; wrap an empty list in a Record to append it as a value"
            )
        return self._engine.append(stream, [record.packed() for record in batch], partition)

    def read(
        self,
        stream: str,
        offset: int,
        *,
        partition: int = 0,
        max_records: int = DEFAULT_READ_RECORDS,
        max_bytes: int = DEFAULT_READ_BYTES,
    ) -> Records:
        """Committed records of one partition from `offset` on: at most `max_records`, and at most `max_bytes` of
        stored bytes (but one record always). Empty at the end.

        Raises:
            StreamNotFound, InvalidRequest: no such stream or partition.
            InvalidOffset: before the first kept record or beyond the end.
        """
        return Records(self._engine.fetch(stream, partition, offset, max_records, max_bytes))

    def create_stream(self, name: str, *, partitions: int = 1) -> None:
        """Creates a stream; it is durable when this returns.

        Raises:
            StreamAlreadyExists, InvalidRequest
        """
        self._engine.create_stream(name, partitions)

    def streams(self) -> list[StreamDescription]:
        """Every stream with the offsets and stored bytes of its partitions."""
        return self._engine.streams()

    def stats(self) -> dict[str, object]:
        """Durability, readiness, ring, backlog: the engine's status by name."""
        return self._engine.status()

    def close(self) -> None:
        """Commits what is under way and gives the directory free. May be called again."""
        engine, self._open = self._open, None
        if engine is not None:
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open(path: str | os.PathLike[str], *, read_only: bool = False, **options: object) -> Log:
    """Opens the log in the directory `path`, and creates it when there is none.

    Args:
        read_only: no writes; the directory is left as it is.
        options: the server's settings of the same names, e.g. `durability="interval"`, `ring_bytes=64 << 20`.

    Raises:
        DirectoryLocked: another process has it open.
        InvalidRequest: an option is unknown or out of range.
        StorageUnavailable: the directory cannot be read or written.
    """
    checked = check_options(options)
    return Log(Engine(os.fspath(path), {**checked, "read_only": read_only}))
