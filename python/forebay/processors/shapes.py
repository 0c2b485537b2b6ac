"""A processor's definition as JSON, and what the engine says about processors. The engine writes and checks all of it:
these shapes read it in Python, and describe it in `/openapi.json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]
# The bounds are the engine's, which checks them.
HOUR = 3_600_000
TEN_YEARS = 10 * 366 * 24 * HOUR
Length = Annotated[int, msgspec.Meta(ge=1, le=TEN_YEARS, description="Milliseconds.")]
Span = Annotated[int, msgspec.Meta(ge=0, le=TEN_YEARS, description="Milliseconds.")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Path = Annotated[str, msgspec.Meta(min_length=1, description="A path within the value: `userId`, `user.id`.")]
Status = Literal["running", "paused", "failed", "deleting"]
AggregationName = Literal[
    "count", "sum", "avg", "min", "max", "count_distinct", "p50", "p95", "p99", "first", "last", "top"
]


class FilterOperation(msgspec.Struct, tag_field="type", tag="filter", forbid_unknown_fields=True):
    """Keeps the records for which a predicate in CEL is true."""

    predicate: Annotated[Text, msgspec.Meta(examples=["value.amount > 1000"])]


class MapOperation(msgspec.Struct, tag_field="type", tag="map", forbid_unknown_fields=True):
    """Replaces each value by what a function makes of it: one of the modules of the setting `functions`, or
    `enrichWithUserData`, which puts the value of the key `value.userId` of the stream `users` at `value.user`."""

    function: Annotated[Text, msgspec.Meta(examples=["enrichWithUserData"])]


class WindowOperation(msgspec.Struct, rename="camel", tag_field="type", tag="window", forbid_unknown_fields=True):
    """Cuts event time into windows: `tumbling` of a `duration`, `sliding` of a `duration` that begin every `slide`, or
    a `session` of each key, which ends with a `gap`."""

    window_type: Literal["tumbling", "sliding", "session"]
    duration: Length | None = None
    slide: Length | None = None
    gap: Length | None = None


class Aggregation(msgspec.Struct, forbid_unknown_fields=True):
    """One aggregation; all but `count` need the path of a field."""

    aggregation: AggregationName
    field: Path | None = None


class AggregateOperation(msgspec.Struct, rename="camel", tag_field="type", tag="aggregate", forbid_unknown_fields=True):
    """One result for each window and key: of one `aggregation`, or of several `aggregations`."""

    aggregation: AggregationName | None = None
    field: Path | None = None
    aggregations: list[Aggregation] | None = None
    group_by: Path | list[Path] | None = None


class ProcessorConfig(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Settings of a processor; a missing one has its default. `maxFuture`, `dropFuture` and `idleClose` are off
    with 0."""

    parallelism: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=64)] | None,
        msgspec.Meta(description="Partitions that are worked on at once: 1 unless given."),
    ] = None
    checkpoint_interval: Annotated[int, msgspec.Meta(ge=10, le=HOUR, description="Milliseconds.")] | None = None
    allowed_lateness: Span | None = None
    idle_timeout: Annotated[int, msgspec.Meta(ge=10, le=24 * HOUR, description="Milliseconds.")] | None = None
    max_future: Span | None = None
    drop_future: Span | None = None
    idle_close: Annotated[int, msgspec.Meta(ge=0, le=365 * 24 * HOUR, description="Milliseconds.")] | None = None
    late_sink: Text | None = None
    timestamp_field: Path | None = None
    emit: Literal["final", "update"] | None = None


Operation = FilterOperation | MapOperation | WindowOperation | AggregateOperation


_OPERATIONS = [
    {"type": "filter", "predicate": "value.amount > 1000"},
    {"type": "map", "function": "enrichWithUserData"},
    {"type": "window", "windowType": "tumbling", "duration": 300000},
    {"type": "aggregate", "aggregation": "count", "groupBy": "userId"},
]


class ProcessorDefinition(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A stream processor. Errors name the operation: `operations[1].predicate: …`."""

    name: Annotated[Text, msgspec.Meta(description="Unique.", examples=["fraud-detection"])]
    source: Annotated[Text, msgspec.Meta(description="The stream to read.", examples=["transactions"])]
    operations: Annotated[list[Operation], msgspec.Meta(min_length=1, examples=[_OPERATIONS])]
    sink: Annotated[Text, msgspec.Meta(description="The stream for results.", examples=["fraud-alerts"])]
    offset: Literal["latest", "earliest"] | None = None
    from_: Annotated[
        Text | None,
        msgspec.Meta(
            description="The processor, by id or name, whose place this one takes: it is gone then, and this one has "
            "its id, positions, counts and open windows. `offset` does not go with it."
        ),
    ] = msgspec.field(default=None, name="from")
    state: Annotated[
        Literal["keep", "discard"] | None,
        msgspec.Meta(
            description="With `from`: `discard` drops open windows, which has to be said when those of the two differ."
        ),
    ] = None
    config: Annotated[
        ProcessorConfig | None, msgspec.Meta(examples=[{"parallelism": 4, "checkpointInterval": 60000}])
    ] = None


class ProcessorTotals(msgspec.Struct, rename="camel"):
    """Source records that were processed since the processor was created, those of a second now, and how many wait."""

    events_processed: Count
    throughput: float
    lag: Count


class ProcessorDescription(msgspec.Struct, rename="camel"):
    """A processor: its definition with every default, and how it is. `reason` says why it does not run, `blockedBy` why
    it cannot write now, `degraded` the last failure of a function within the last minute."""

    processor_id: str
    name: str
    source: str
    sink: str
    operations: list[dict[str, Any]]
    config: dict[str, Any]
    offset: str
    status: Status
    reason: str | None
    blocked_by: str | None
    degraded: str | None
    created_at: str
    metrics: ProcessorTotals


class ProcessorFigures(msgspec.Struct, rename="camel"):
    """A processor's counts since it was created; restarts and crashes count nothing twice.

    `avgLatency` is in milliseconds, `errorRate` a share of the last minute's records. `skipped` counts values that an
    aggregation could make nothing of, `recordsLost` records that were deleted or damaged before they were read.
    """

    events_processed: Count
    throughput: float
    avg_latency: float | None
    lag: Count
    error_rate: float
    late_events: Count
    future_events: Count
    filter_failures: Count
    skipped: Count
    dead_letters: Count
    records_lost: Count
    results: Count
    state_bytes: Count


class ProcessorWindow(msgspec.Struct, rename="camel"):
    """One window: `final` once its results are written."""

    window_start: str
    window_end: str
    events_count: Count
    final: bool


class ProcessorMetrics(msgspec.Struct, rename="camel"):
    """A processor's figures, and its twenty newest windows, the newest first. `reason`, `blockedBy` and `degraded` are
    those of its description."""

    processor_id: str
    name: str
    status: Status
    reason: str | None
    blocked_by: str | None
    degraded: str | None
    metrics: ProcessorFigures
    windows: list[ProcessorWindow]


class DeadLetter(msgspec.Struct, rename="camel"):
    """A record that could not be processed, and why: the `error` of an `operation` (`operations[0]`, or
    `timestampField`). `offset` is its own among the dead letters; `sourcePartition` and `sourceOffset` are where the
    record stands in `source`. Key, value and timestamp are the record's. Times are RFC 3339 in UTC."""

    offset: Count
    failed_at: str
    error: str
    operation: str
    source: str
    source_partition: Count
    source_offset: Count
    timestamp: str
    key: str | None
    value: Any


class DeadLetters(msgspec.Struct, rename="camel"):
    """Dead letters that are neither replayed nor dropped, the oldest first. `stream` has them, `waiting` counts all of
    them, `replaying` those that are being replayed now. A list goes on at `nextOffset`, which is null at the end."""

    stream: str
    waiting: Count
    replaying: Count
    dead_letters: list[DeadLetter]
    next_offset: Count | None


class Replay(msgspec.Struct):
    """How many dead letters the processor tries again."""

    replaying: Count


class DroppedDeadLetters(msgspec.Struct):
    """How many dead letters are neither listed nor replayed any more."""

    dropped: Count


class PreviewResult(msgspec.Struct):
    """One record as the processor would write it. `timestamp` is its event time, RFC 3339 in UTC."""

    key: str | None
    timestamp: str
    value: Any


class PreviewFailure(msgspec.Struct):
    """A failure: what it was, where (`operations[0]`), and of how many records."""

    operation: str
    error: str
    count: Count


class Preview(msgspec.Struct, rename="camel"):
    """The results that a processor would give of the newest records of its source; nothing is written. `matched`
    counts records that all filters take. `moreResults`: there are more than a thousand, and the others are left out."""

    records_read: Count
    matched: Count
    results: list[PreviewResult]
    more_results: bool
    late: Count
    failures: list[PreviewFailure]
