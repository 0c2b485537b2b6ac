"""Streams: created, changed and deleted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from forebay import errors
from forebay.api.streams import NAME, SECONDS, StreamMetadata, StreamQuota, describe, known_name, rfc3339
from forebay.http.body import MAX_BODY_BYTES, read
from forebay.http.reply import Reply
from forebay.http.response import Response, json_response
from forebay.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.app import App
    from forebay.http.request import Request

MAX_RETENTION_MS = 100 * 365 * 24 * 3600 * 1000
MAX_RETENTION_BYTES = 1 << 50
MAX_MESSAGE_BYTES = 1 << 30
"""Of any server; the engine holds it to its own limit for bodies."""

MAX_REPLICAS = 32_767
"""As Apache Kafka has it; the embedded log keeps one whatever is asked for."""

FOREVER = -1

NO_CHANGES = "so it changes no streams"

Milliseconds = Annotated[int, msgspec.Meta(ge=FOREVER, le=MAX_RETENTION_MS, description="-1 keeps records for ever.")]
Window = Annotated[
    str,
    msgspec.Meta(
        pattern="^[0-9]{1,6}[smh]$",
        description="How long idempotency keys are remembered, from `1s` to `24h`; for requests from now on.",
    ),
]
Bytes = Annotated[int, msgspec.Meta(ge=FOREVER, le=MAX_RETENTION_BYTES, description="-1 keeps all.")]


class ConfigChange(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is chosen for a stream; what is not named keeps its default, or stays as it is."""

    retention_ms: Milliseconds | None = None
    retention_bytes: Bytes | None = None
    compression_type: Literal["none", "gzip", "snappy", "lz4", "zstd"] | None = None
    max_message_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_MESSAGE_BYTES)] | None = None
    dedup_window: Window | None = None
    quota: StreamQuota | None = None
    """Replaces the whole quota; an empty object removes it."""

    def options(self) -> dict[str, object]:
        """What is named, as the engine takes it."""
        options: dict[str, object] = {}
        for name, limit in (("retention_ms", self.retention_ms), ("retention_bytes", self.retention_bytes)):
            if limit == 0:
                raise errors.InvalidRequest(f"config.{name} is 0, must be from 1 on, or -1 for no limit")
            if limit is not None:
                options[name] = max(limit, 0)
        if self.compression_type is not None:
            options["compression"] = self.compression_type
        if self.max_message_bytes is not None:
            options["max_record_bytes"] = self.max_message_bytes
        if self.dedup_window is not None:
            seconds = int(self.dedup_window[:-1]) * SECONDS[self.dedup_window[-1]]
            if seconds == 0:
                raise errors.InvalidRequest("config.dedup_window is 0, must be at least 1s")
            options["dedup_window_seconds"] = seconds
        if self.quota is not None:
            rates = (self.quota.events, self.quota.bytes)
            options["quota"] = tuple(None if rate is None else (rate.per_second, rate.burst) for rate in rates)
        return options


class NewStream(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A stream to be created."""

    name: Annotated[
        str,
        msgspec.Meta(pattern=f"^{NAME.pattern}$", description="Neither `.` nor `..`, nor a name of the engine's."),
    ]
    partitions: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    replication_factor: Annotated[int, msgspec.Meta(ge=1, le=MAX_REPLICAS)] = 1
    config: ConfigChange = msgspec.field(default_factory=ConfigChange)


class StreamChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be changed of a stream."""

    config: ConfigChange


class Deleted(msgspec.Struct, rename="camel"):
    """The stream is gone, and everything in it. One of the same name that is created later is another one."""

    status: Literal["deleted"]
    stream_name: str
    deleted_at: str


def routes(app: App) -> list[Route]:
    engine = app.engine

    async def create(request: Request) -> Response:
        request.grant.check_all_projects(NO_CHANGES)
        asked = read(await request.body(), NewStream)
        await app.blocking(engine.create_stream, asked.name, asked.partitions, asked.config.options())
        made = describe(await app.blocking(engine.stream, asked.name))
        if asked.replication_factor > 1:
            made.warnings = [
                f"replicationFactor is {asked.replication_factor}: the embedded log keeps one replica of each partition"
            ]
        return json_response(201, made)

    async def change(request: Request) -> Response:
        request.grant.check_all_projects(NO_CHANGES)
        name = known_name(request.bound["name"])
        asked = read(await request.body(), StreamChange)
        await app.blocking(engine.alter_stream, name, asked.config.options())
        return json_response(200, describe(await app.blocking(engine.stream, name)))

    async def delete(request: Request) -> Response:
        request.grant.check_all_projects(NO_CHANGES)
        name = known_name(request.bound["name"])
        await app.blocking(engine.delete_stream, name)
        return json_response(200, Deleted("deleted", name, rfc3339(time.time_ns() // 1000)))

    return [
        Route(
            "POST",
            "/api/v1/streams",
            create,
            Role.OPS,
            MAX_BODY_BYTES,
            summary="Creates a stream.",
            shape=NewStream,
            replies={201: Reply(StreamMetadata, "It is there, and durable.")},
            errors=(errors.StreamAlreadyExists,),
        ),
        Route(
            "PATCH",
            "/api/v1/streams/{name}",
            change,
            Role.OPS,
            MAX_BODY_BYTES,
            summary="Changes what is chosen for a stream.",
            shape=StreamChange,
            replies={200: Reply(StreamMetadata, "As it is now.")},
            errors=(errors.StreamNotFound,),
        ),
        Route(
            "DELETE",
            "/api/v1/streams/{name}",
            delete,
            Role.OPS,
            summary="Deletes a stream and all its data.",
            replies={200: Reply(Deleted, "It is gone.")},
            errors=(errors.StreamNotFound, errors.StorageUnavailable),
        ),
    ]
