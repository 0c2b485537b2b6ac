"""The Rust engine. Offsets count records of one partition from 0; times are microseconds since 1970 UTC."""

from collections.abc import Callable
from typing import Protocol, final

from forebay.reports import RepairReport, VerifyReport

__all__ = [
    "SHAPE_DRAIN",
    "Engine",
    "Filter",
    "Projects",
    "Receipt",
    "RecordBatch",
    "StreamDescription",
    "TailChunk",
    "error_table",
    "keep_heap",
    "repair",
    "run_load",
    "verify",
]

SHAPE_DRAIN: int
"""The event shape of `POST /v1/drain`."""

class _Completion(Protocol):
    """What `Engine.submit` reports to: an asyncio future, or anything with these methods of one."""

    def set_result(self, result: int, /) -> None: ...
    def set_exception(self, exception: Exception, /) -> None: ...
    def cancelled(self) -> bool: ...

@final
class Engine:
    """The log of one data directory. Every method may be called from any thread; blocking ones release the GIL."""

    def __new__(cls, data_dir: str, options: dict[str, object]) -> Engine: ...
    def submit(
        self,
        shape: int,
        body: bytes,
        future: _Completion,
        encoding: str | None = None,
        quarantine: bool = False,
        key: tuple[bytes, bytes] | None = None,
        projects: Projects | None = None,
    ) -> None:
        """Admits one request body. `encoding` is a content coding in lower case; `key` is the scope and the key of an
        idempotent request; `projects` are the only record keys that the sender may write.

        Raises at once when it is refused; else `drain_completions` completes `future` with the number of quarantined
        events, or with a `ForebayError`.
        """
    def completion_fd(self) -> int:
        """A descriptor that turns readable when requests are complete."""
    def drain_completions(self) -> None:
        """Completes the futures of all finished requests."""
    def watch(self, stream: str, positions: list[tuple[int, int]], future: _Completion) -> int:
        """Lets `drain_completions` complete `future` with 0 once there is a record at or beyond one of the positions
        (partition, offset): by the commit that makes it visible, at once when there is one already.

        The future gets `StreamNotFound` when the stream is deleted, and `Closed` when the engine closes. Returns the
        ticket for `unwatch`. Raises `StreamNotFound`, `InvalidRequest` for a partition that is not there, `Saturated`.
        """
    def unwatch(self, ticket: int) -> None:
        """Forgets a watch that is no longer wanted. Its future may still be completed when that was on its way; cancel
        it. A ticket of a watch that has ended is ignored."""
    def position(self, stream: str, earliest: bool) -> tuple[int, list[int]]:
        """The stream's identity, and the start or the end of each partition."""
    def tail(
        self,
        stream: str,
        position: tuple[int, list[int]],
        max_records: int,
        max_bytes: int,
        until: list[int] | None = None,
        predicate: Filter | None = None,
        projects: Projects | None = None,
    ) -> TailChunk:
        """What comes after a position, as Server-Sent Events. Reads at most about `max_records` and `max_bytes` of
        stored bytes, and not beyond the offsets of `until`.

        Raises `StreamNotFound`, also when the name belongs to another stream by now, and `InvalidOffset`.
        """
    def append(
        self,
        stream: str,
        records: list[tuple[bytes | None, bytes, bytes, int | None]],
        partition: int | None,
    ) -> Receipt:
        """Appends (key, value JSON, headers JSON or empty, timestamp) records as one atomic batch and waits for the
        commit."""
    def fetch(self, stream: str, partition: int, offset: int, max_records: int, max_bytes: int) -> RecordBatch: ...
    def create_stream(self, name: str, partitions: int) -> None: ...
    def streams(self) -> list[StreamDescription]: ...
    def metrics(self) -> list[tuple[str, str, str, list[tuple[dict[str, str], float | _Histogram]]]]:
        """(name, help, type, samples) with type `counter`, `gauge` or `histogram`."""
    def status(self) -> dict[str, object]: ...
    def close(self) -> None:
        """Finishes what was admitted, commits it and gives the directory free. Idempotent."""

_Histogram = tuple[list[float], list[int], float]
"""Upper bounds, cumulative counts (one more, for +Inf), sum."""

@final
class Filter:
    """A predicate in CEL over one record, with the variables `value`, `key`, `headers`, `partition`, `offset` and
    `timestamp` (milliseconds). A record for which it fails, or is not a boolean, is not chosen.

    Raises `InvalidRequest` that names the column of what is wrong.
    """

    def __new__(cls, expression: str) -> Filter: ...
    @property
    def expression(self) -> str: ...

@final
class TailChunk:
    """Events as they are sent, the position behind them, how many events, and how many records were read for them."""

    body: bytes
    position: tuple[int, list[int]]
    records: int
    scanned: int

@final
class Projects:
    """Project ids that a token is limited to."""

    def __new__(cls, names: list[str]) -> Projects: ...

@final
class Receipt:
    """Where an append went: one partition and one offset a record, in the order given."""

    partitions: list[int]
    offsets: list[int]
    durability: str

@final
class StreamDescription:
    name: str
    id: int
    partitions: list[tuple[int, int]]
    """Start (first readable) and end (next) offset by partition."""
    stored_bytes: int
    """Bytes of its sealed segments on the disk."""
    raw_bytes: int
    """The same before compression."""
    ring_bytes: int
    """Bytes in memory, not sealed yet; the journal holds them."""
    segments: int
    builtin: bool

@final
class RecordBatch:
    """Consecutive records of one partition."""

    partition: int
    next_offset: int
    offsets: memoryview
    """int64, read-only, alive as long as somebody looks at it."""
    timestamps: memoryview
    def __len__(self) -> int: ...
    def key(self, index: int) -> bytes | None: ...
    def value(self, index: int) -> bytes: ...
    def headers(self, index: int) -> bytes: ...
    def ndjson(self, projects: Projects | None = None) -> bytes:
        """A line of JSON a record; with `projects` only those whose key is one of them."""

def error_table() -> list[tuple[int, str, int, bool]]:
    """Every row of the error table: number, name, HTTP status, retryable."""

def keep_heap() -> None:
    """Lets Python's allocator keep freed memory for the next request bodies. For a process that serves alone."""

def verify(data_dir: str) -> VerifyReport:
    """Checks a whole data directory without changing it. Raises `DirectoryLocked` and `StorageUnavailable`."""

def repair(data_dir: str, apply: bool) -> RepairReport:
    """Repairs a data directory, or only says what that would do."""

def run_load(options: dict[str, object], progress: Callable[[str, float, int, int], object]) -> tuple[str, str, bool]:
    """Runs a load; gives the report as JSON, the latencies as an HdrHistogram percentile distribution, and whether it
    was ended early by a KeyboardInterrupt, which `progress` (phase, seconds, events, refusals) or a signal raises."""
