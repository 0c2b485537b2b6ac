"""Streams: what there is, and the raw records of one partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from forebay import errors
from forebay.http.parameters import Parameters, whole
from forebay.http.reply import Reply
from forebay.http.request import shown
from forebay.http.response import NDJSON, Response, json_response
from forebay.http.router import Role, Route

if TYPE_CHECKING:
    from forebay._forebay import StreamDescription
    from forebay.app import App
    from forebay.http.request import Request

LOGS = "logs"
"""The one stream whose keys are projects."""

MAX_RECORDS = 10_000
"""The largest page; a reader asks again with `forebay-next-offset`."""

MAX_PAGE_BYTES = 8 << 20
"""A page is held whole in memory, by at most as many readers as the read pool has threads."""

MAX_OFFSET = (1 << 63) - 1
MAX_PARTITION = 1023


PARTITION = whole("partition", 0, 0, MAX_PARTITION, "The partition, from 0.")
OFFSET = whole("offset", None, 0, MAX_OFFSET, "The first record; the first that is kept when it is not given.")
LIMIT = whole("limit", 1000, 1, MAX_RECORDS, "The most records of one page. A page also ends at 8 MiB.")

Count = Annotated[int, msgspec.Meta(ge=0)]


class PartitionOffsets(msgspec.Struct, rename="camel"):
    """Offsets of one partition: the first that is kept, and the next that is given."""

    partition: Count
    start_offset: Count
    end_offset: Count


class StreamMetadata(msgspec.Struct, rename="camel"):
    """A stream. `totalSize` is `storedBytes` (on the disk, sealed) and `unsealedBytes` (in memory and the journal);
    `rawBytes` are the stored ones before compression."""

    name: str
    partitions: Annotated[int, msgspec.Meta(ge=1)]
    replication_factor: Annotated[int, msgspec.Meta(ge=1)]
    total_messages: Count
    total_size: Count
    stored_bytes: Count
    unsealed_bytes: Count
    raw_bytes: Count
    segments: Count
    partition_details: list[PartitionOffsets]


class StreamList(msgspec.Struct):
    """Every stream, by name."""

    streams: list[StreamMetadata]


RECORDS = (
    "A line of JSON a record: `partition`, `offset`, `timestamp` (microseconds since 1970 UTC), `key` and `value`. "
    "With a token that is limited to projects, only theirs."
)


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
        partition_details=[PartitionOffsets(index, start, end) for index, (start, end) in enumerate(stream.partitions)],
    )


def routes(app: App) -> list[Route]:
    async def listing(_request: Request) -> Response:
        streams = await app.blocking(app.engine.streams)
        return json_response(200, StreamList([describe(stream) for stream in streams]))

    async def one(request: Request) -> Response:
        return json_response(200, describe(await find(request.bound["name"])))

    async def records(request: Request) -> Response:
        projects = request.grant.projects
        if projects is not None and request.bound["name"] != LOGS:
            raise errors.Forbidden(
                f"the token {request.grant.name!r} is limited to projects, so it reads the stream {LOGS!r} only"
            )
        stream = await find(request.bound["name"])
        partition = request.value(PARTITION)
        if partition >= len(stream.partitions):
            raise errors.InvalidRequest(
                f"partition is {partition}, but stream {stream.name!r} has {len(stream.partitions)}"
            )
        start, _end = stream.partitions[partition]
        offset = request.value(OFFSET)
        limit = request.value(LIMIT)
        batch = await app.blocking(
            app.engine.fetch, stream.name, partition, start if offset is None else offset, limit, MAX_PAGE_BYTES
        )
        text = await app.blocking(batch.ndjson, projects)
        return Response(200, text, [NDJSON, ("forebay-next-offset", str(batch.next_offset))])

    async def find(name: str) -> StreamDescription:
        for stream in await app.blocking(app.engine.streams):
            if stream.name == name:
                return stream
        raise errors.StreamNotFound(f"there is no stream {shown(name)}")

    return [
        Route(
            "GET",
            "/api/v1/streams",
            listing,
            Role.READ,
            summary="Every stream with its sizes and offsets.",
            replies={200: Reply(StreamList, "All of them.")},
        ),
        Route(
            "GET",
            "/api/v1/streams/{name}",
            one,
            Role.READ,
            summary="One stream with its sizes and offsets.",
            replies={200: Reply(StreamMetadata, "It.")},
            errors=(errors.StreamNotFound,),
        ),
        Route(
            "GET",
            "/api/v1/streams/{name}/records",
            records,
            Role.READ,
            parameters=Parameters(PARTITION, OFFSET, LIMIT),
            summary="Records of one partition, as stored.",
            replies={200: Reply(None, RECORDS, ("Forebay-Next-Offset",), NDJSON[1])},
            errors=(errors.StreamNotFound, errors.InvalidOffset),
        ),
    ]
