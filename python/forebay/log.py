"""The engine without HTTP: `forebay.open(path)`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import msgspec

from forebay._forebay import Engine, GroupDescription, Receipt, StreamDescription
from forebay.config import check_options
from forebay.consumer import Consumer
from forebay.errors import Closed, InvalidRequest
from forebay.records import Records

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

    def create_stream(self, name: str, *, partitions: int = 1, **options: object) -> None:
        """Creates a stream; it is durable when this returns.

        Args:
            options: `retention_ms` and `retention_bytes` (0 for no limit; a week and no limit when not given),
                `compression` of sealed segments (none, gzip, snappy, lz4, zstd), `max_record_bytes`,
                `dedup_window_seconds` (0 for the log's own).

        Raises:
            StreamAlreadyExists, InvalidRequest
            StreamLimitReached: there are `max_streams` streams, or `max_partitions` partitions.
            Forbidden: the name is one that the engine keeps for itself.
        """
        self._engine.create_stream(name, partitions, options)

    def alter_stream(self, name: str, **options: object) -> None:
        """Changes what `create_stream` takes, but for the partitions; durable when this returns.

        Raises:
            StreamNotFound, InvalidRequest
            Forbidden: what the log's own options say of the stream `logs`.
        """
        self._engine.alter_stream(name, options)

    def delete_stream(self, name: str) -> None:
        """Deletes a stream and everything in it; durable when this returns.

        Raises:
            StreamNotFound
            Forbidden: it is the engine's own.
        """
        self._engine.delete_stream(name)

    def streams(self) -> list[StreamDescription]:
        """Every stream with the offsets and stored bytes of its partitions."""
        return self._engine.streams()

    def consumer(
        self,
        group: str,
        stream: str,
        *,
        member: str | None = None,
        offset: str | None = None,
        on_reset: str = "error",
        limit: int = DEFAULT_READ_RECORDS,
        filter: str | None = None,  # noqa: A002 # the HTTP parameter's name
    ) -> Consumer:
        """Reads the stream as a consumer group, which the first read creates durably; see `Consumer`.

        Args:
            member: shares the partitions with the group's other members; None reads all of them.
            offset: where to begin instead of at the committed offset: `"earliest"` or `"latest"`.
            on_reset: what to do when a position is not there any more: `"error"`, `"earliest"` or `"latest"`.
            limit: records that one read takes at most.
            filter: a predicate in CEL, `value.amount > 1000`; only records that it is true for are given.

        Raises:
            InvalidRequest: the filter is none; names the column.
        """
        return Consumer(
            lambda: self._engine,
            group,
            stream,
            member=member,
            offset=offset,
            on_reset=on_reset,
            limit=limit,
            filter=filter,
        )

    def groups(self) -> list[GroupDescription]:
        """Every consumer group with its members and committed offsets."""
        return self._engine.groups()

    def delete_group(self, group: str) -> None:
        """Deletes a consumer group and its offsets, durably.

        Raises:
            ConsumerGroupNotFound
        """
        self._engine.delete_group(group)

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
