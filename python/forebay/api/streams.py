"""Streams: what there is, and the raw records of one partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay import errors
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


def describe(stream: StreamDescription) -> dict[str, object]:
    """A stream's metadata as JSON shows it."""
    return {
        "name": stream.name,
        "partitions": len(stream.partitions),
        "replicationFactor": 1,
        "totalMessages": sum(end - start for start, end in stream.partitions),
        "totalSize": stream.stored_bytes + stream.ring_bytes,
        "storedBytes": stream.stored_bytes,
        "unsealedBytes": stream.ring_bytes,
        "rawBytes": stream.raw_bytes,
        "segments": stream.segments,
        "partitionDetails": [
            {"partition": index, "startOffset": start, "endOffset": end}
            for index, (start, end) in enumerate(stream.partitions)
        ],
    }


def routes(app: App) -> list[Route]:
    async def listing(_request: Request) -> Response:
        streams = await app.blocking(app.engine.streams)
        return json_response(200, {"streams": [describe(stream) for stream in streams]})

    async def one(request: Request) -> Response:
        return json_response(200, describe(await find(request.bound["name"])))

    async def records(request: Request) -> Response:
        projects = request.grant.projects
        if projects is not None and request.bound["name"] != LOGS:
            raise errors.Forbidden(
                f"the token {request.grant.name!r} is limited to projects, so it reads the stream {LOGS!r} only"
            )
        stream = await find(request.bound["name"])
        partition = request.integer("partition", 0, 0, MAX_PARTITION)
        if partition >= len(stream.partitions):
            raise errors.InvalidRequest(
                f"partition is {partition}, but stream {stream.name!r} has {len(stream.partitions)}"
            )
        start, _end = stream.partitions[partition]
        offset = request.integer("offset", start, 0, MAX_OFFSET)
        limit = request.integer("limit", 1000, 1, MAX_RECORDS)
        batch = await app.blocking(app.engine.fetch, stream.name, partition, offset, limit, MAX_PAGE_BYTES)
        text = await app.blocking(batch.ndjson, projects)
        return Response(200, text, [NDJSON, ("forebay-next-offset", str(batch.next_offset))])

    async def find(name: str) -> StreamDescription:
        for stream in await app.blocking(app.engine.streams):
            if stream.name == name:
                return stream
        raise errors.StreamNotFound(f"there is no stream {shown(name)}")

    page = frozenset({"partition", "offset", "limit"})
    return [
        Route("GET", "/api/v1/streams", listing, Role.READ),
        Route("GET", "/api/v1/streams/{name}", one, Role.READ),
        Route("GET", "/api/v1/streams/{name}/records", records, Role.READ, parameters=page),
    ]
