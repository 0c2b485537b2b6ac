"""Lists and describes streams, and reads raw records of one partition."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import UNSET

from forebay import errors
from forebay.server.http.parameters import Parameters, whole
from forebay.server.http.request import shown
from forebay.server.http.response import NDJSON, Header, Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.http.tokens import QuotaNumber

if TYPE_CHECKING:
    from forebay._forebay import RecordBatch, StreamDescription
    from forebay.server.http.auth import Principal
    from forebay.server.http.request import Request
    from forebay.server.services import Services

LOGS = "logs"
"""The only stream whose keys are projects."""

MAX_RECORDS = 10_000
"""The most records of a page; a reader goes on at `forebay-next-offset`."""

MAX_PAGE_BYTES = 8 << 20
"""The largest page. It is held in memory as a whole."""

BROKER = "broker-1"
"""The embedded log has a single process, which leads every partition and holds its only replica."""

MAX_OFFSET = (1 << 63) - 1
MAX_PARTITION = 1023


PARTITION = whole("partition", 0, 0, MAX_PARTITION, "The partition, from 0.")
OFFSET = whole("offset", None, 0, MAX_OFFSET, "Offset of the first record; the earliest kept record by default.")
LIMIT = whole("limit", 1000, 1, MAX_RECORDS, "The most records of a page. A page also ends at 8 MiB.")

MAX_NAME = 249
"""The longest name of a stream or a consumer group; the engine enforces it."""

NAME_CHARACTER = "[A-Za-z0-9._-]"
NAME = re.compile(f"{NAME_CHARACTER}{{1,{MAX_NAME}}}")
_EPOCH = datetime.fromtimestamp(0, UTC)

Count = Annotated[int, msgspec.Meta(ge=0)]


class PartitionOffsets(msgspec.Struct, rename="camel"):
    """Offsets of one partition: of the earliest kept record, and of the next one to be written."""

    partition: Count
    leader: str
    replicas: list[str]
    start_offset: Count
    end_offset: Count


class StreamRate(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A rate limit: the average per second, and the most at once."""

    per_second: QuotaNumber
    burst: QuotaNumber


class StreamQuota(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Limits of what all senders together write: events, and bytes of decompressed bodies. A missing one is no
    limit."""

    events: StreamRate | None = None
    bytes: StreamRate | None = None


class StreamConfig(msgspec.Struct, rename="camel"):
    """Configuration of a stream. -1 stands for no limit; `compressionType` and `layout` apply to sealed
    segments, and `dedupWindow` is how long idempotency keys are remembered."""

    retention_ms: int
    retention_bytes: int
    compression_type: str
    layout: str
    max_message_bytes: Count
    dedup_window: str
    quota: StreamQuota | msgspec.UnsetType = msgspec.UNSET


class StreamMetadata(msgspec.Struct, rename="camel"):
    """A stream. `totalSize` is the sum of `storedBytes` (sealed, on the disk) and `unsealedBytes` (in memory and the
    journal); `rawBytes` is the size of the stored ones before compression. Only the engine fills and deletes
    `engineMade` streams. `warnings` name what was asked for and could not be had."""

    name: str
    partitions: Annotated[int, msgspec.Meta(ge=1)]
    replication_factor: Annotated[int, msgspec.Meta(ge=1)]
    total_messages: Count
    total_size: Count
    stored_bytes: Count
    unsealed_bytes: Count
    raw_bytes: Count
    segments: Count
    created_at: str
    engine_made: bool
    config: StreamConfig
    partition_details: list[PartitionOffsets]
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET


class StreamList(msgspec.Struct):
    """Every stream, by name."""

    streams: list[StreamMetadata]


SECONDS = {"s": 1, "m": 60, "h": 3600}

RECORDS = (
    "One line of JSON for each record: `partition`, `offset`, `timestamp` (microseconds since 1970 UTC), `key` "
    "and `value`. With a token that is limited to projects, only their records. `Forebay-Records-Lost` counts the "
    "page's offsets without a record: it is damaged, or lost or never there since a repair."
)


def known_name(name: str) -> str:
    """The name, checked for the characters that a stream's name may have.

    Raises:
        StreamNotFound: no stream can have it.
    """
    if not NAME.fullmatch(name):
        raise errors.StreamNotFound(f"there is no stream {shown(name)}")
    return name


def check_readable(principal: Principal, name: str) -> None:
    """Raises `Forbidden` when the token is limited to projects, and the stream has no projects."""
    if name != LOGS:
        principal.check_all_projects(f"so it reads the stream {LOGS!r} only")


def rfc3339(micros: int) -> str:
    """A time in microseconds since 1970 UTC as RFC 3339 with milliseconds."""
    return (_EPOCH + timedelta(microseconds=micros)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_now() -> str:
    """The time by the wall clock, as `rfc3339` has it."""
    return rfc3339(time.time_ns() // 1000)


def duration(seconds: int) -> str:
    """Seconds in the largest unit of which they are a whole number: `24h`, `10m`, `90s`."""
    unit = next((unit for unit in ("h", "m") if seconds % SECONDS[unit] == 0), "s")
    return f"{seconds // SECONDS[unit]}{unit}"


def describe(stream: StreamDescription) -> StreamMetadata:
    """A stream's metadata as JSON shows it."""
    return StreamMetadata(
        name=stream.name,
        partitions=len(stream.partitions),
        replication_factor=1,
        total_messages=sum(end - start for start, end in stream.partitions),
        total_size=stream.stored_bytes + stream.ring_bytes,
        stored_bytes=stream.stored_bytes,
        unsealed_bytes=stream.ring_bytes,
        raw_bytes=stream.raw_bytes,
        segments=stream.segments,
        created_at=rfc3339(stream.created_us),
        engine_made=stream.engine_made,
        config=StreamConfig(
            retention_ms=stream.retention_ms or -1,
            retention_bytes=stream.retention_bytes or -1,
            compression_type=stream.compression,
            layout=stream.layout,
            max_message_bytes=stream.max_record_bytes,
            dedup_window=duration(stream.dedup_window_seconds),
            quota=StreamQuota(*(rate and StreamRate(*rate) for rate in stream.quota)) if any(stream.quota) else UNSET,
        ),
        partition_details=[
            PartitionOffsets(index, BROKER, [BROKER], start, end)
            for index, (start, end) in enumerate(stream.partitions)
        ],
    )


def _page_headers(batch: RecordBatch) -> list[Header]:
    lost = sum(to - start for start, to in batch.gaps)
    return [NDJSON, ("forebay-next-offset", str(batch.next_offset)), ("forebay-records-lost", str(lost))]


def routes(services: Services) -> list[Route]:
    async def listing(_request: Request) -> Response:
        streams = await services.blocking(services.engine.streams)
        return json_response(200, StreamList([describe(stream) for stream in streams]))

    async def one(request: Request) -> Response:
        name = known_name(request.bound["name"])
        return json_response(200, describe(await services.blocking(services.engine.stream, name)))

    async def records(request: Request) -> Response:
        projects = request.principal.projects
        check_readable(request.principal, request.bound["name"])
        stream = await services.blocking(services.engine.stream, known_name(request.bound["name"]))
        partition = request.value(PARTITION)
        if partition >= len(stream.partitions):
            raise errors.InvalidRequest(
                f"partition is {partition}, but stream {stream.name!r} has {len(stream.partitions)}"
            )
        start, _end = stream.partitions[partition]
        offset = request.value(OFFSET)
        limit = request.value(LIMIT)
        room = await services.deliveries.room(request.principal.digest, MAX_PAGE_BYTES)
        try:
            batch = await services.blocking(
                services.engine.fetch,
                stream.name,
                partition,
                start if offset is None else offset,
                limit,
                MAX_PAGE_BYTES,
            )
            text = await services.blocking(batch.ndjson, projects)
        except BaseException:
            room.release()
            raise
        return Response(200, text, _page_headers(batch), room)

    return [
        Route(
            "GET",
            "/api/v1/streams",
            listing,
            Role.READ,
            summary="Every stream with its sizes and offsets.",
            responses={200: ResponseSpec(StreamList, "All streams.")},
            errors=(errors.Saturated,),
        ),
        Route(
            "GET",
            "/api/v1/streams/{name}",
            one,
            Role.READ,
            summary="One stream with its sizes and offsets.",
            responses={200: ResponseSpec(StreamMetadata, "The stream.")},
            errors=(errors.StreamNotFound,),
        ),
        Route(
            "GET",
            "/api/v1/streams/{name}/records",
            records,
            Role.READ,
            parameters=Parameters(PARTITION, OFFSET, LIMIT),
            summary="Records of one partition, as stored.",
            responses={200: ResponseSpec(None, RECORDS, ("Forebay-Next-Offset", "Forebay-Records-Lost"), NDJSON[1])},
            errors=(errors.StreamNotFound, errors.InvalidOffset, errors.Saturated, errors.StorageUnavailable),
        ),
    ]
