"""`forebay.open(path)`: the engine without HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

import msgspec

from forebay._forebay import Engine, GroupDescription, Receipt, StreamDescription
from forebay.embedded import functions
from forebay.embedded.conditions import Conditions, conditions_of, whole_millisecond
from forebay.embedded.consumer import Consumer
from forebay.embedded.jobs import Jobs
from forebay.embedded.options import Durability, check_options
from forebay.embedded.processors import Processors
from forebay.embedded.records import Records
from forebay.embedded.search import Search
from forebay.embedded.times import TimeUnit, microseconds
from forebay.errors import Closed, InvalidRequest, StreamAlreadyExists
from forebay.finite import has_non_finite
from forebay.processors.function import Function

if TYPE_CHECKING:
    import numpy

DEFAULT_READ_RECORDS = 10_000
DEFAULT_READ_BYTES = 8 << 20


class StreamOptions(TypedDict, total=False):
    """Options of a stream."""

    retention_ms: int
    """Age in milliseconds from which records may be deleted; 0 for no limit, a week when not given."""
    retention_bytes: int
    """Stored bytes beyond which the oldest segments are deleted; 0, the default, for no limit."""
    compression: str
    """Compression of sealed segments: none, gzip, snappy, lz4 or zstd."""
    layout: str
    """Layout of sealed segments: rows, the default, or columns, which are smaller and quicker to search for records
    that repeat in shape."""
    max_record_bytes: int
    dedup_window_seconds: int
    """How long idempotency keys are remembered; 0, the default, for the log's own."""


class LogOptions(TypedDict, total=False):
    """Options of the log. The server's settings have the same names and ranges."""

    durability: Durability
    interval_ms: int
    commit_gather_us: int
    ring_bytes: int
    journal_file_bytes: int
    journal_file_age_seconds: int
    workers: int
    logs_partitions: int
    logs_retention_ms: int
    logs_retention_bytes: int
    events_partitions: int
    events_retention_ms: int
    events_retention_bytes: int
    analytics_partitions: int
    analytics_retention_ms: int
    analytics_retention_bytes: int
    dedup_window_seconds: int
    max_idempotency_keys: int
    max_streams: int
    max_partitions: int
    processor_state_bytes: int
    jobs_bytes: int
    functions: Sequence[str | Function]
    """Names of modules, which are imported in the processes that run their functions, and functions themselves, which
    run in a thread of this process."""
    function_workers: int
    function_worker_bytes: int
    function_timeout_ms: int
    max_body_bytes: int
    max_record_bytes: int


@dataclass(slots=True, frozen=True)
class Record:
    """One record to append.

    Attributes:
        value: any value that JSON can hold.
        key: chooses the partition: equal keys, equal partition. None spreads whole batches over the partitions.
        headers: names and texts kept beside the value.
        timestamp: event time: a datetime (local without a zone), a numpy.datetime64, or a number of `unit`s since 1970
            UTC; None takes the time of the append.
        unit: the unit of a `timestamp` that is a number: s, ms, us or ns. With None a whole number is in microseconds,
            and a float is refused.
    """

    value: Any
    key: str | bytes | None = None
    headers: Mapping[str, str] | None = None
    timestamp: int | float | datetime | numpy.datetime64 | None = None
    unit: TimeUnit | None = None

    def packed(self) -> tuple[bytes | None, bytes, bytes, int | None]:
        """Key, value and headers as they are stored, and the time in microseconds.

        Raises:
            InvalidRequest: the value or a header is not JSON, or the timestamp is not a time.
        """
        key = self.key.encode() if isinstance(self.key, str) else self.key
        timestamp = None if self.timestamp is None else microseconds(self.timestamp, self.unit)
        return key, _json(self.value), _json(self.headers) if self.headers else b"", timestamp


def _json(value: object) -> bytes:
    try:
        text = msgspec.json.encode(value)
        # msgspec would write NaN and infinities as null, since JSON does not have them.
        if b"null" in text and has_non_finite(value):
            raise ValueError("NaN and infinities are no JSON numbers; send None or a text instead")
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"the value or a header cannot be written as JSON: {error}") from None
    return text


class Log:
    """An open log. Its methods block, release the GIL meanwhile, and may be called from any thread.

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

    @property
    def jobs(self) -> Jobs:
        """The durable jobs."""
        return Jobs(lambda: self._engine)

    def append(self, stream: str, records: Any, *, partition: int | None = None) -> Receipt:
        """Appends one atomic batch: after a crash either all of it is there or nothing. Each item of a list, tuple or
        iterator is a record of its own, anything else is one record. An item is a `Record` or the value of one; a value
        that is itself a list needs `Record(value=[...])`.

        Returns when the batch is as durable as the log's `durability` says.

        Raises:
            StreamNotFound: the stream does not exist; create it first.
            InvalidRequest: there is no such partition, there are no records, a value is not JSON (NaN and infinities
                are not), or a timestamp is not a time. PayloadTooLarge: a record or the batch is beyond its limit.
                Saturated: the ring is full; try again. StorageUnavailable: the disk is full or failed."""
        items = list(records) if isinstance(records, list | tuple | Iterator) else [records]
        if not items:
            raise InvalidRequest(
                "there are no records to append; wrap an empty list in a Record to append it as a value"
            )
        batch = [item if isinstance(item, Record) else Record(item) for item in items]
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
        """Committed records of one partition from `offset` on: at most `max_records` and `max_bytes` of stored bytes,
        but at least one record. Empty at the end of the partition.

        Raises:
            StreamNotFound, InvalidRequest: no such stream or partition.
            InvalidOffset: the offset is before the first kept record or beyond the end.
        """
        return Records(self._engine.fetch(stream, partition, offset, max_records, max_bytes))

    def seek(
        self,
        stream: str,
        time: int | float | datetime | numpy.datetime64,
        *,
        unit: TimeUnit | None = None,
        partition: int | None = None,
    ) -> dict[int, int]:
        """The offset of the first record whose event time is `time` or later, or the end, of each partition or of the
        one that is given. Later records may be older where events came out of order.

        Looks at the time ranges of segments and reads one block of each partition, however long the stream is.

        Args:
            time, unit: as `Record.timestamp` and `Record.unit`.

        Raises:
            StreamNotFound
            InvalidRequest: there is no such partition, or `time` is not a time.
            StorageUnavailable: a segment cannot be read now.
        """
        return dict(self._engine.seek(stream, partition, microseconds(time, unit)))

    def read_since(
        self,
        stream: str,
        time: int | float | datetime | numpy.datetime64,
        *,
        unit: TimeUnit | None = None,
        partition: int | None = None,
        max_records: int = DEFAULT_READ_RECORDS,
        max_bytes: int = DEFAULT_READ_BYTES,
    ) -> list[Records]:
        """The records from the position of `time` on (see `seek`): one `Records` for each partition that has some,
        within `max_records` and `max_bytes`. `read` goes on at `Records.next_offset`.

        Raises:
            the exceptions of `seek` and `read`
        """
        found = self.seek(stream, time, unit=unit, partition=partition)
        batches = (
            self.read(stream, offset, partition=at, max_records=max_records, max_bytes=max_bytes)
            for at, offset in found.items()
        )
        return [records for records in batches if records]

    def search(
        self,
        query: str = "",
        *,
        level: str | None = None,
        service: str | None = None,
        since: int | float | datetime | numpy.datetime64 | None = None,
        until: int | float | datetime | numpy.datetime64 | None = None,
        unit: TimeUnit | None = None,
        project_id: str | None = None,
        request_id: str | None = None,
        user_id: str | None = None,
        where: str | Iterable[str] = (),
        limit: int | None = None,
    ) -> Search:
        """The log events, those of the stream `logs`, that are all of this, the newest first; see `Search`.

        Args:
            query: full text over the message and every value in the metadata, in any case: words, `begin*`,
                `"a phrase"`, `/regular expression/`, each excluded with a `-` before it.
            level: in any case; `warn` and `warning` are one.
            since, until, unit: the first and the last time of an event, as `Record.timestamp` and `Record.unit`.
            request_id, user_id: those of the metadata, as texts.
            where: conditions on values in the metadata: `status>=500`, `user.plan=free`.
            limit: the most hits of an iteration.

        Raises:
            InvalidRequest: an argument is none that can be searched for; of a query when it is first read.
        """
        conditions = Conditions(
            query=query,
            level=level,
            service=service,
            project_id=project_id,
            start_time=None if since is None else microseconds(since, unit),
            end_time=None if until is None else whole_millisecond(microseconds(until, unit)),
            request_id=request_id,
            user_id=user_id,
            metadata=conditions_of(where),
        )
        conditions.check()
        if limit is not None and limit < 0:
            raise InvalidRequest(f"the limit is {limit}; it must not be negative")
        return Search(lambda: self._engine, conditions, limit)

    def create_stream(
        self, name: str, *, partitions: int = 1, exist_ok: bool = False, **options: Unpack[StreamOptions]
    ) -> None:
        """Creates a stream, durably. `options` are those of `StreamOptions`.

        Args:
            exist_ok: leaves a stream of that name as it is, whatever its partitions and options are.

        Raises:
            StreamAlreadyExists: a stream has the name, and `exist_ok` is false.
            InvalidRequest
            StreamLimitReached: there are `max_streams` streams, or `max_partitions` partitions.
            Forbidden: the engine reserves the name.
        """
        try:
            self._engine.create_stream(name, partitions, {**options})
        except StreamAlreadyExists:
            if not exist_ok:
                raise

    def alter_stream(self, name: str, **options: Unpack[StreamOptions]) -> None:
        """Changes options of a stream, durably. The number of partitions cannot change.

        Raises:
            StreamNotFound, InvalidRequest
            Forbidden: the log's own options decide it, for the stream `logs`.
        """
        self._engine.alter_stream(name, {**options})

    def delete_stream(self, name: str) -> None:
        """Deletes a stream and everything in it, durably.

        Raises:
            StreamNotFound
            Forbidden: the stream is the engine's own.
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
            offset: `"earliest"` or `"latest"` begins there instead of at the committed offset.
            on_reset: what to do when a position has been deleted: `"error"`, `"earliest"` or `"latest"`.
            limit: the most records of one read.
            filter: a predicate in CEL, such as `value.amount > 1000`; only records that match it are returned.

        Raises:
            InvalidRequest: the filter is not valid; the message names the column.
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

    @property
    def processors(self) -> Processors:
        """The stream processors: `create`, `list`, `pause` and more; see `Processors`."""
        return Processors(lambda: self._engine)

    def stats(self) -> dict[str, object]:
        """The engine's status: durability, readiness, ring, backlog and more, by name."""
        return self._engine.status()

    def __repr__(self) -> str:
        if self._open is None:
            return "<Log, closed>"
        return f"<Log of {len(self._open.streams())} streams, {self._open.status()['mode']}>"

    def close(self) -> None:
        """Commits pending appends and unlocks the directory. May be called again."""
        engine, self._open = self._open, None
        if engine is not None:
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open(path: str | os.PathLike[str], *, read_only: bool = False, **options: Unpack[LogOptions]) -> Log:
    """Opens the log in the directory `path`; creates it if there is none.

    Args:
        read_only: refuses writes and changes nothing in the directory.
        options: the server's settings of the same names, e.g. `durability="interval"`, `ring_bytes=64 << 20`. Of
            `functions`, those that are given themselves win over those of modules.

    Raises:
        DirectoryLocked: the log is open already; the message says whether in this process or in another one.
        InvalidRequest: an option is unknown or out of range.
        StorageUnavailable: the directory cannot be read or written.
    """
    modules, own = functions.parted(options.get("functions") or ())
    checked = check_options({**options, "functions": modules})
    engine = Engine(os.fspath(path), {**checked, "function_names": list(own), "read_only": read_only})
    log = Log(engine)
    if own:
        functions.serve(engine, own, log)
    return log
