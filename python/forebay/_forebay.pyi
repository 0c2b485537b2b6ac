"""The Rust engine. Offsets count records of one partition from 0; times are microseconds since 1970 UTC."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol, final

from forebay.reports import RepairReport, VerifyReport

__all__ = [
    "Consumed",
    "Engine",
    "ExportColumns",
    "Filter",
    "Front",
    "GroupDescription",
    "IngestRoute",
    "MemoryBudget",
    "Polled",
    "Projects",
    "QueueStats",
    "RateLimiter",
    "ReadProgress",
    "Receipt",
    "RecordBatch",
    "Reserved",
    "SearchCancel",
    "StreamDescription",
    "TailChunk",
    "Tunnel",
    "error_table",
    "export_head",
    "family_of",
    "family_row",
    "ingest_routes",
    "keep_heap",
    "processor_definition",
    "refusal",
    "repair",
    "run_load",
    "verify",
]

class _Completion(Protocol):
    """Receives the outcome of `Engine.submit`: an asyncio future, or anything with these methods of one."""

    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Exception, /) -> None: ...
    def cancelled(self) -> bool: ...

@final
class Engine:
    """The log of one data directory. Every method may be called from any thread; blocking ones release the GIL."""

    def __new__(cls, data_dir: str, options: dict[str, object]) -> Engine: ...
    def submit(
        self,
        route: IngestRoute,
        body: bytes,
        future: _Completion,
        encoding: str | None = None,
        quarantine: bool = False,
        key: tuple[bytes, bytes] | None = None,
        projects: Projects | None = None,
        limiter: RateLimiter | None = None,
        stream: str | None = None,
    ) -> None:
        """Admits one request body. `encoding` is a content coding in lower case; `key` is the scope and the key of an
        idempotent request; `projects` are the only record keys that the sender may write; `limiter` is what its
        events are charged to; `stream` is where the events go when the route does not
        say it.

        Raises at once when it is refused; else `drain_completions` completes `future` with the answer's status and JSON
        body, or with a `ForebayError`. When the body says how long its sender waits, `future.set_timeout(seconds)` is
        called before, if it comes to a commit.
        """
    def completion_fd(self) -> int:
        """A descriptor that turns readable when requests are complete."""
    def drain_completions(self) -> None:
        """Completes the futures of all finished requests."""
    def watch(self, stream: str, positions: list[tuple[int, int]], future: _Completion) -> int:
        """Lets `drain_completions` complete `future` with 0 once there is a record at or beyond one of the positions
        (partition, offset): by the commit that makes it visible, at once when there is one already.

        The future gets `StreamNotFound` when the stream is deleted, and `Closed` when the engine closes. Returns the
        watch for `unwatch`. Raises `StreamNotFound`, `InvalidRequest` for a partition that is not there,
        `Saturated`.
        """
    def unwatch(self, watch: int) -> None:
        """Forgets a watch that is no longer wanted. Its future may still be completed when that was on its way; cancel
        it. A watch that has ended is ignored."""
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
        """Returns what comes after a position, as Server-Sent Events. Reads at most about `max_records` and `max_bytes`
        of stored bytes, and not beyond the offsets of `until`.

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
    def seek(self, stream: str, partition: int | None, time_us: int) -> list[tuple[int, int]]:
        """(partition, offset) of the first record at `time_us` or later, or the end; of one partition or of each."""
    def create_stream(self, name: str, partitions: int, options: dict[str, object] | None = None) -> None:
        """`options`: `retention_ms`, `retention_bytes` (0 for no limit), `compression` (none, gzip, snappy, lz4, zstd),
        `layout` (rows, columns), `max_record_bytes`, `quota` (events and bytes, each (a second, at once) or None),
        `dedup_window_seconds` (0 for that of the server); what is not named has its default. Waits for the commit."""
    def alter_stream(self, name: str, options: dict[str, object]) -> None:
        """Changes the options that are named. Waits for the commit."""
    def delete_stream(self, name: str) -> None:
        """Deletes a stream and everything in it. Waits for the commit."""
    def stream(self, name: str) -> StreamDescription: ...
    def streams(self) -> list[StreamDescription]: ...
    def keep_views(self, lateness_ms: int, retention_ms: int) -> None:
        """Makes the processors of the analytics views, and those anew whose definition has changed. Waits for the
        commit. Raises `StorageUnavailable`, `Saturated`."""
    def create_processor(self, definition: bytes) -> bytes:
        """Creates a processor of a JSON definition, durably, and returns its description as JSON. Raises `Malformed`
        naming the operation, `ProcessorAlreadyExists`, `StreamNotFound` for its source, `Saturated`."""
    def processors(self) -> bytes:
        """The descriptions of all processors by name, as a JSON array."""
    def processor(self, name: str) -> bytes:
        """The description of the processor with that id or name. Raises `ProcessorNotFound`, as those below."""
    def processor_metrics(self, name: str) -> bytes: ...
    def processor_dead_letters(self, name: str, offset: int, limit: int) -> bytes:
        """The dead letters from an offset on that are neither replayed nor dropped, at most `limit`, as JSON. Raises
        `InvalidRequest` when `limit` is not 1 to 1,000."""
    def replay_dead_letters(self, name: str, through: int | None = None) -> bytes:
        """Returns `{"replaying":n}`, before they are. Raises `Conflict` when the processor does not run."""
    def drop_dead_letters(self, name: str, through: int | None = None) -> bytes:
        """Returns `{"dropped":n}`. Waits for the commit. Raises `Conflict` when the processor cannot be read."""
    def pause_processor(self, name: str) -> bytes:
        """Returns the description. Waits for the commit."""
    def resume_processor(self, name: str) -> bytes:
        """Returns the description. Waits for the commit. Raises `Conflict` when what it failed for is still so."""
    def delete_processor(self, name: str) -> None:
        """Waits for the commit."""
    def preview_processor(self, definition: bytes, records: int) -> bytes:
        """What the processor would make of the source's newest records, as JSON. Writes nothing."""
    def take_function_call(self, timeout_ms: int) -> tuple[int, bytes] | None:
        """Waits for a call of a function of the option `function_names`, and returns its ticket and its body. None when
        there was none in that time. Raises `Closed`, also when the engine is closed meanwhile."""
    def answer_function_call(self, ticket: int, body: bytes) -> None:
        """Answers a call that was taken. An answer that nobody waits for any more is ignored."""
    def consume(
        self,
        group: str,
        stream: str,
        **keywords: Any,
    ) -> Consumed:
        """Reads what comes next for a group, which its first call creates durably.

        Keywords:
            member: shares the partitions with the group's other members; None reads all.
            partition: only this one.
            offset: `earliest`, `latest`, a number, or None for the committed position.
            limit: most records, 100.
            on_reset: `error`, `earliest` or `latest`, for a position that is not there any more.
            filter: a `Filter`: only records that it matches; positions move past the others.
            auto_commit: commits what is returned.
            resume: positions that an earlier answer gave; reading goes on there.
            gaps: what earlier answers left out and nobody was told yet.
            hold_ms: how long the caller will wait when there is nothing: the member's lease lasts over it.

        Raises `StreamNotFound`, `InvalidOffset`, `FencedMember`, `InvalidRequest`, `Saturated`, `StorageUnavailable`.
        """
    def poll(
        self,
        group: str,
        stream: str,
        **keywords: Any,
    ) -> Polled:
        """Reads as `consume` does, and gives batches instead of JSON."""
    def wait(self, stream: str, positions: list[tuple[int, int]], milliseconds: int) -> bool:
        """Waits in this thread until there is a record at or beyond one of the positions; False when there is none."""
    def commit_offsets(
        self,
        group: str,
        offsets: list[tuple[str, int, int]],
        member: str | None = None,
        force: bool = False,
        future: _Completion | None = None,
    ) -> None:
        """Commits (stream, partition, next offset) rows, all or none. With `future`, `drain_completions` completes it
        when they are durable; without, this waits.

        Raises `ConsumerGroupNotFound`, `StreamNotFound`, `FencedMember`, `InvalidOffset`, `InvalidRequest`.
        """
    def groups(self) -> list[GroupDescription]: ...
    def group(self, name: str) -> GroupDescription:
        """Raises `ConsumerGroupNotFound`."""
    def delete_group(self, name: str) -> None:
        """Durable when it returns. Raises `ConsumerGroupNotFound`."""
    def leave_group(self, group: str, member: str) -> None:
        """Gives a member's leases back. Raises `ConsumerGroupNotFound`, and `NotFound` when it has none."""
    def job_enqueue(
        self,
        queue: str,
        payload: bytes,
        *,
        priority: str = "normal",
        delay_ms: int = 0,
        retries: int = 3,
        timeout_ms: int = 30_000,
        unique_key: str | None = None,
    ) -> bytes:
        """Enqueues a job with a JSON payload; returns `{"job_id","queue","status","created"}`. Durable when it returns,
        as everything below. Raises `InvalidRequest`, `Malformed`, `PayloadTooLarge`, `Saturated`,
        `StorageUnavailable`."""
    def job_lease(self, queue: str, limit: int, lease_ms: int) -> bytes:
        """Hands out jobs: `{"jobs":[{"id","queue","lease","payload","attempts","retries","leased_until","timeout_ms",
        "progress"}]}`. A base name takes the highest priority first. Raises `InvalidRequest`."""
    def job_heartbeat(self, id: str, lease: str, lease_ms: int, progress: bytes | None = None) -> bytes:  # noqa: A002
        """Prolongs a lease, and keeps the progress, which is JSON: `{"leased_until","cancel"}`. Raises `JobNotFound`,
        `LeaseLost`, as the two below."""
    def job_complete(self, id: str, lease: str, result: bytes | None = None) -> bytes:  # noqa: A002
        """Returns `{"job_id","queue","status","cancel_requested"}`, as those below that return anything."""
    def job_fail(self, id: str, lease: str, error: bytes, retry: bool) -> bytes:  # noqa: A002
        """Ends an attempt with an error, which is JSON."""
    def job_get(self, id: str) -> bytes:  # noqa: A002
        """One job as in a list. Raises `JobNotFound`, as those below with an id."""
    def job_list(self, queue: str, status: str | None, limit: int, offset: int) -> bytes:
        """A page of at most 1,000 jobs: `{"jobs":[…],"total","limit","offset"}`. Raises `QueueNotFound`,
        `InvalidRequest`."""
    def job_queues(self) -> bytes:
        """Every queue with its counts: `{"queues":[…]}`."""
    def job_retry(self, id: str) -> bytes:  # noqa: A002
        """Raises `JobConflict` when the job has not failed."""
    def job_delete(self, id: str) -> None:  # noqa: A002
        """Raises `JobConflict` when the job is active."""
    def job_cancel(self, id: str) -> bytes:  # noqa: A002
        """A waiting job fails; the worker of an active one is told. Raises `JobConflict` when it has ended."""
    def job_pause(self, queue: str) -> bytes:
        """Returns `{"queue","status","timestamp"}`. Raises `QueueNotFound`."""
    def job_resume(self, queue: str) -> bytes: ...
    def scale(self, instances: int) -> None:
        """Sets how many workers parse bodies, from 1 to 64; waits for the commit. Raises `InvalidRequest`,
        `StorageUnavailable`."""
    def release_clock(self) -> bool:
        """Believes the wall clock about how long the machine was off; `False` when that is not in doubt. Writes to the
        disk."""
    def start_load_test(self, events_per_second: int, seconds: int) -> None:
        """Raises `Conflict` while one runs, `InvalidRequest`, `StorageUnavailable`."""
    def load_test(self) -> dict[str, object]:
        """Returns its progress until now, by the names of `forebay.server.load_test.LoadTestProgress` in JSON."""
    def stop_load_test(self) -> bool:
        """Nothing is sent after this. False when none was running."""
    def metrics(self) -> list[tuple[str, str, str, list[tuple[dict[str, str], float | _Histogram]]]]:
        """(name, help, type, samples) with type `counter`, `gauge` or `histogram`."""
    def live(self) -> bytes:
        """Returns the answer of `/api/metrics`, as JSON."""
    def history(self, hours: int) -> bytes:
        """Returns what `/api/metrics` showed in the last 1 to 168 hours, as JSON: a point every 10 seconds up to 24
        hours, and every minute beyond. Reads files. Raises `InvalidRequest`."""
    def keep_history(self) -> None:
        """Keeps a history from now on, and gives what earlier processes kept; else `history` is empty."""
    def history_problem(self) -> str | None:
        """Why points of the history are skipped; None when they are not."""
    def history_skipped(self) -> int:
        """Points that could not be written since the start."""
    def reset_live(self) -> None:
        """Begins anew what `/api/metrics` counts, and its history. What is stored and what `metrics` counts are not
        touched. Raises `StorageUnavailable` when the history cannot be deleted; then nothing is reset."""
    def set_health(self, status: str) -> None:
        """Says how the server is, for `live`: healthy, degraded or unhealthy."""
    def status(self) -> dict[str, Any]: ...
    def queue_stats(self) -> QueueStats:
        """Returns the lengths of the queues and the counts of commits, now."""
    def search(self, request: bytes, token: bytes, cancelled: SearchCancel) -> bytes:
        """Returns a page of log events, newest first, as JSON: `hits` as consumers get events, `total`, `totalIsExact`,
        `cursor`, `complete`, `stoppedBy`, `scanned`, `recordsLost`. A search whose budget is spent is not complete, and
        raises nothing.

        The request is JSON, and everything in it may be missing: `conditions`, `offset`, `limit`, `cursor`, `count`,
        `budget` (`seconds`, `bytes`, `hits`). The conditions are `query`, `level`, `service`, `project_id`, `projects`,
        `start_time` and `end_time` in microseconds, `request_id`, `user_id`, and `metadata`, a list of `path`, `is` (=,
        >, >=, <, <=) and `value`. `token` tells one sender from another: while others search, one has half of all
        searches.

        Raises `InvalidRequest` naming the field, `Saturated`, `StorageUnavailable`, `Closed`.
        """
    def search_stats(self, request: bytes, token: bytes, cancelled: SearchCancel) -> bytes:
        """Counts log events `by` level, service, project_id or time, in intervals of `interval` microseconds. The
        request has `conditions` and `budget` as those of `search`, the answer `groups`, `other`, `total`, and how
        complete it is."""
    def search_export(self, request: bytes, token: bytes, cancelled: SearchCancel) -> tuple[bytes, bytes]:
        """Takes one step through all log events, in the order of the log: about `max_bytes` of lines in the request's
        `format`, `json`, `csv` or `txt`; and as JSON the `position` of the next step, whether it is `done`, how many
        events `matched` and how many had `expired` before they were read. The first request has no `position`."""
    def search_export_columns(
        self, request: bytes, token: bytes, cancelled: SearchCancel
    ) -> tuple[ExportColumns, bytes]:
        """Takes the same step, and gives what it finds as columns."""
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
    """Events as they are sent, the position behind them, how many events, how many records were read for them, and
    whether there was more than the limits let through."""

    body: bytes
    position: tuple[int, list[int]]
    records: int
    scanned: int
    more: bool

@final
class RateLimiter:
    """The quota that requests of one token are charged to, and its usage since the start. Without limits at first."""

    def __new__(cls, name: str) -> RateLimiter: ...
    @property
    def name(self) -> str: ...
    def limit(self, events: tuple[int, int] | None, body_bytes: tuple[int, int] | None) -> None:
        """Sets the limits: (a second, at once) of events, and of bytes of decompressed bodies; None for no limit. One
        that stays the same keeps what is left of it.

        Raises:
            InvalidRequest: a number is 0 or larger than 2^50.
        """
    def usage(self) -> tuple[int, int, int]:
        """Events and bytes that were let in, and requests that were refused for a quota, the token's or a stream's."""

@final
class SearchCancel:
    """Ends a search from another thread."""

    def __new__(cls) -> SearchCancel: ...
    def cancel(self) -> None:
        """Has the search end within milliseconds; one that begins later ends at once."""
    @property
    def is_cancelled(self) -> bool: ...

@final
class ExportColumns:
    """The log events of one step of an export, by columns in Arrow's layout."""

    def __len__(self) -> int: ...
    @property
    def timestamps(self) -> bytes:
        """Event times: int64, microseconds since 1970 UTC."""
    def texts(self) -> list[tuple[str, tuple[bytes, bytes, bytes | None]]]:
        """The other columns by name: int32 offsets, UTF-8, and the validity bitmap, None when nothing is missing."""

def export_head(lines: str) -> bytes:
    """What stands before the first event of a file of `csv`, `json` or `txt`: the names of the columns of the first."""

@final
class MemoryBudget:
    """Bytes of request bodies that may be under way at once, over all connections."""

    def __new__(cls, limit: int) -> MemoryBudget: ...
    @property
    def limit(self) -> int: ...
    @property
    def used(self) -> int: ...
    def reserve(self, limiter: RateLimiter | None) -> Reserved:
        """A reservation of nothing yet, for the body of a token with that limiter. While other tokens ask, one holds at
        most half."""

@final
class Reserved:
    """Bytes taken for one body; given back with it."""

    def grow_to(self, size: int) -> None:
        """Takes more, until `size` are taken.

        Raises:
            Saturated: they are not free, or are the share of other tokens; what was taken stays so.
        """
    def release(self) -> None:
        """Gives back all of it, for good."""

@final
class Front:
    """Serves a listener on a thread of its own: ingest requests without Python, everything else through a tunnel to
    `backend` (address, port)."""

    def __new__(
        cls,
        engine: Engine,
        listener: int,
        backend: tuple[IPv4Address | IPv6Address, int],
        *,
        memory_budget: MemoryBudget,
        body_limit: int,
        body_seconds: float,
        ack_seconds: float,
        connections: int,
    ) -> Front:
        """`listener` is a descriptor, of which it makes a copy."""
    def set_principals(self, principals: list[tuple[bytes, Projects | None, RateLimiter | None]] | None) -> None:
        """Sets who may ingest from now on: (SHA-256 of the token, its projects, its limiter) of each, or None for
        everybody. Nobody at first."""
    def stats(self) -> tuple[int, int, int]:
        """Connections that are read here, connections that are tunnelled, requests under way."""
    def tunnel(self, client: str) -> Tunnel | None:
        """The connection whose client has the address `client` ("host:port") for the server behind; None when it is
        gone, or did not come through the front."""
    def begin_stop(self, seconds: float) -> None:
        """Accepts nothing from here on; what is under way may take so long."""
    def join(self) -> bool:
        """Waits for the end; False when connections were left, which are closed then."""

@final
class IngestRoute:
    """A route that takes events: a row of the engine's table."""

    @property
    def name(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str:
        """With `{name}` for the stream's name."""
    @property
    def stream(self) -> str | None:
        """The stream that the events go to; None when the path names it."""
    @property
    def api(self) -> str:
        """The label of its counters, and the family of its refusals."""
    @property
    def role(self) -> str:
        """The role that a token must have."""
    @property
    def projects(self) -> bool:
        """True if a token that is limited to projects may use it."""
    @property
    def quarantine(self) -> bool:
        """True if a sender may ask that invalid events are quarantined."""
    @property
    def max_events(self) -> int:
        """The most events of one body."""
    @property
    def summary(self) -> str:
        """One line for people."""
    def body_limit(self, max_body_bytes: int) -> int:
        """The largest body, decompressed, where the settings allow `max_body_bytes`."""

@final
class Tunnel:
    """One client's connection that the server behind serves, as the front has it. Any thread may use it, also after the
    connection has ended: then what is asked for has no effect."""

    @property
    def taken(self) -> int:
        """Bytes that the client's connection has taken."""
    @property
    def received(self) -> int:
        """Bytes that came from the client, without its first request."""
    @property
    def ended(self) -> bool:
        """True once the client's connection is closed."""
    def insert(self, data: bytes) -> None:
        """Sends `data` to the client between two messages of the server behind."""
    def insert_last(self, data: bytes) -> None:
        """Sends `data` to the client behind the messages that were written before; later ones are dropped."""
    def answer(self, data: bytes) -> None:
        """Sends `data` to the client in place of the answer, which must not have begun, and ends the connection."""
    def hang_up(self) -> None:
        """Drops what the client still sends, and lets the server behind find its end."""
    def reset(self) -> None:
        """Breaks the connection off; what the client has not taken is dropped."""

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
    """Bytes of its sealed segments before compression."""
    ring_bytes: int
    """Bytes in memory, not sealed yet; the journal holds them."""
    segments: int
    builtin: bool
    engine_made: bool
    """True if only the engine writes to it and deletes it."""
    created_us: int
    retention_ms: int
    """0 for no limit."""
    retention_bytes: int
    """0 for no limit."""
    compression: str
    layout: str
    max_record_bytes: int
    quota: tuple[tuple[int, int] | None, tuple[int, int] | None]
    """Limits of events and of bytes: (a second, at once)."""
    dedup_window_seconds: int
    """How long idempotency keys are remembered: its own choice, or the server's."""

@final
class Consumed:
    """The answer to a consumer."""

    body: bytes
    """The whole JSON answer."""
    count: int
    positions: list[tuple[int, int]]
    """(partition, next offset) of every partition that is the reader's."""
    gaps: list[tuple[int, int, int]]
    """(partition, first offset, offset after the last) of damaged records that were left out: positions are behind
    them."""
    rebalanced: bool
    """True if partitions may have changed hands by this call."""
    recheck_ms: int | None
    """When another member's lease runs out, whose partitions a call may get then."""

@final
class Polled:
    """The answer to a consumer, as batches."""

    batches: list[RecordBatch]
    positions: list[tuple[int, int]]
    unreadable: list[tuple[int, str]]
    """Partitions that cannot be read now, and why; their positions stay."""
    recheck_ms: int | None

@final
class GroupDescription:
    name: str
    created_us: int
    used_us: int
    members: list[tuple[str, str, list[int], int]]
    """Stream, member, its partitions, milliseconds of its lease that are left."""
    offsets: list[tuple[str, int, int, int]]
    """Stream, partition, committed offset, end of the partition."""
    begun: list[tuple[str, int, int, int]]
    """Where it began to read, in partitions of which it has committed nothing: stream, partition, offset, end."""
    lag: int
    """Records behind all of these offsets."""

@final
class QueueStats:
    """The lengths of the queues and the work done, at one time."""

    @property
    def jobs_waiting(self) -> int:
        """Request bodies that wait for a worker."""
    @property
    def oldest_job_ms(self) -> float:
        """How long ago the one that has waited longest was admitted; 0 when none waits."""
    @property
    def commits_waiting(self) -> int:
        """Appends that wait for the committer."""
    @property
    def commits(self) -> int:
        """Commits since the start."""
    def commits_since(self, earlier: QueueStats) -> tuple[int, float, float, float]:
        """Commits since then: their number, and p50, p99 and the largest of their times in milliseconds."""

@final
class RecordBatch:
    """Consecutive records of one partition."""

    partition: int
    next_offset: int
    gaps: list[tuple[int, int]]
    """(first offset, offset after the last) of damaged records that were left out before `next_offset`."""
    offsets: memoryview
    """int64, read-only, alive as long as somebody looks at it."""
    timestamps: memoryview
    def __len__(self) -> int: ...
    def key(self, index: int) -> bytes | None: ...
    def value(self, index: int) -> bytes: ...
    def headers(self, index: int) -> bytes: ...
    def column(self, name: str) -> tuple[bytes, bytes, bytes | None]:
        """`key`, `headers` or `value` of all records in Arrow's layout of large binary: int64 offsets, the bytes one
        after the other, and a bitmap of what is there, None when all are."""
    def ndjson(self, projects: Projects | None = None) -> bytes:
        """A line of JSON a record; with `projects` only those whose key is one of them."""

def processor_definition(definition: bytes) -> bytes:
    """The definition of a stream processor with every default in it, as JSON. Raises `Malformed` naming the place."""

def refusal(
    family: str, number: int, detail: str, retry_after: float | None
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of the answer to a refused request of a family of routes."""

def family_of(path: str) -> str:
    """The name of the family of routes that a path belongs to."""

def family_row(family: str, number: int) -> tuple[int, str]:
    """The status and the name that a family gives a row of the error table."""

def ingest_routes() -> list[IngestRoute]:
    """Every route that takes events."""

def error_table() -> list[tuple[int, str, int, bool]]:
    """Every row of the error table: number, name, HTTP status, retryable."""

def keep_heap() -> None:
    """Lets Python's allocator keep freed memory for the next request bodies. For a process that serves alone."""

@final
class ReadProgress:
    """How far `verify` or `repair` is with reading its directory; for a thread that shows it meanwhile."""

    def __new__(cls) -> ReadProgress: ...
    @property
    def read(self) -> int:
        """Bytes of the files that have been read: in the end the total."""
    @property
    def total(self) -> int:
        """Bytes of all files of the engine; 0 until they are known."""

def verify(data_dir: str, progress: ReadProgress | None = None) -> VerifyReport:
    """Checks a whole data directory without changing it. Raises `DirectoryLocked` and `StorageUnavailable`."""

def repair(data_dir: str, apply: bool, progress: ReadProgress | None = None) -> RepairReport:
    """Repairs a data directory, or only says what that would do. What it writes does not count as progress."""

def run_load(options: dict[str, object], progress: Callable[[str, float, int, int], object]) -> tuple[str, str, bool]:
    """Runs a load; gives the report as JSON, the latencies as an HdrHistogram percentile distribution, and whether it
    was ended early by a KeyboardInterrupt, which `progress` (phase, seconds, events, refusals) or a signal raises."""
