"""The body of `GET /api/metrics`, of a point of its history, and of a WebSocket's message."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, description="Milliseconds, three significant digits.")]


class Throughput(msgspec.Struct, rename="camel"):
    """Incoming events: rates over the last 3 s, or over the interval of a point of the history."""

    events_per_second: Amount
    batches_per_second: Annotated[float, msgspec.Meta(ge=0, description="Requests that stored something.")]
    total_events: Annotated[int, msgspec.Meta(ge=0, description="Events stored since start or reset.")]


class Latency(msgspec.Struct, rename="camel"):
    """Time from a request's admission to its durable acknowledgement, since start or reset, or in the interval of a
    point."""

    avg_processing_time: Milliseconds
    p50_processing_time: Milliseconds
    p95_processing_time: Milliseconds
    p99_processing_time: Milliseconds


class ErrorsByType(msgspec.Struct):
    """Events that were not stored, since start or reset."""

    validation_error: Count
    storage_error: Count
    processing_error: Count


class Errors(msgspec.Struct, rename="camel"):
    """Events that were not stored."""

    error_rate: Annotated[
        float,
        msgspec.Meta(
            ge=0, le=1, description="Share of the events that were not stored, over the interval of the rates."
        ),
    ]
    total_errors: Annotated[int, msgspec.Meta(ge=0, description="Events not stored since start or reset.")]
    errors_by_type: ErrorsByType


class System(msgspec.Struct, rename="camel"):
    """Resources that the server uses."""

    processing_instances: Count
    queue_depth: Annotated[int, msgspec.Meta(ge=0, description="Ingest requests admitted and not yet answered.")]
    memory_usage: Annotated[int, msgspec.Meta(ge=0, description="Resident memory of the process in MiB.")]
    cpu_usage: Annotated[float, msgspec.Meta(ge=0, le=100, description="Percent of the whole machine.")]


class Health(msgspec.Struct, rename="camel"):
    """Health status."""

    status: Literal["healthy", "degraded", "unhealthy"]
    uptime: Annotated[int, msgspec.Meta(ge=0, description="Milliseconds since the start.")]


class Metrics(msgspec.Struct, rename="camel"):
    """All metrics at one point in time."""

    timestamp: Annotated[int, msgspec.Meta(description="Milliseconds since 1970 UTC.")]
    throughput: Throughput
    latency: Latency
    errors: Errors
    system: System
    health: Health


class History(msgspec.Struct, rename="camel"):
    """Points of the last hours, oldest first. Points are missing while the server was not running."""

    hours: int
    resolution_seconds: Literal[10, 60]
    damaged_points: Annotated[int, msgspec.Meta(ge=0, description="Points on the disk that cannot be read.")]
    points: list[Metrics]
