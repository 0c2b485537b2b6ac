"""Streams: created, changed and deleted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

import msgspec

from forebay import errors
from forebay.embedded.options import MAX_PARTITIONS, MAX_RETENTION_BYTES, MAX_RETENTION_MS
from forebay.server.api.streams.streams import (
    MAX_NAME,
    NAME,
    SECONDS,
    StreamMetadata,
    StreamQuota,
    describe,
    known_name,
    rfc3339_now,
)
from forebay.server.http.body import MAX_BODY_BYTES, MUST_BE, read
from forebay.server.http.request import shown
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.services import Services

MAX_REPLICAS = 32_767
"""The largest replication factor, as in Apache Kafka. The embedded log keeps one replica in any case."""

S = TypeVar("S", bound=msgspec.Struct)

FOREVER = -1

NO_CHANGES = "so it changes no streams"

_NOT_ZERO = {"not": {"const": 0}}

WINDOW = (
    "(?:[1-9][0-9]{0,3}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)s"
    "|(?:[1-9][0-9]{0,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)m"
    "|(?:[1-9]|1[0-9]|2[0-4])h"
)
"""From 1s to 24h, in whole seconds, minutes or hours."""

Milliseconds = Annotated[
    int,
    msgspec.Meta(
        ge=FOREVER, le=MAX_RETENTION_MS, description="-1 keeps records for ever.", extra_json_schema=_NOT_ZERO
    ),
]
Window = Annotated[
    str,
    msgspec.Meta(
        description="How long idempotency keys are remembered, from `1s` to `24h`; for requests from now on.",
        # The type does not check it, since its error would show the pattern.
        extra_json_schema={"pattern": f"^(?:{WINDOW})$", "examples": ["10m"]},
    ),
]
Bytes = Annotated[
    int,
    msgspec.Meta(ge=FOREVER, le=MAX_RETENTION_BYTES, description="-1 keeps all.", extra_json_schema=_NOT_ZERO),
]


class ConfigChange(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Configuration of a stream. A missing field keeps its default, or its present value in a change."""

    retention_ms: Milliseconds | None = None
    retention_bytes: Bytes | None = None
    compression_type: Literal["none", "gzip", "snappy", "lz4", "zstd"] | None = None
    layout: Literal["rows", "columns"] | None = None
    max_message_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """In the types that `shapes` makes, at most the longest body."""
    dedup_window: Window | None = None
    quota: StreamQuota | None = None
    """Replaces the whole quota; an empty object removes it."""

    def options(self) -> dict[str, object]:
        """The given fields, as the engine takes them."""
        options: dict[str, object] = {}
        for name, sent_as, limit in (
            ("retention_ms", "retentionMs", self.retention_ms),
            ("retention_bytes", "retentionBytes", self.retention_bytes),
        ):
            if limit == 0:
                raise errors.InvalidRequest(f"config.{sent_as} is 0, must be from 1 on, or -1 for no limit")
            if limit is not None:
                options[name] = max(limit, 0)
        if self.compression_type is not None:
            options["compression"] = self.compression_type
        if self.layout is not None:
            options["layout"] = self.layout
        if self.max_message_bytes is not None:
            options["max_record_bytes"] = self.max_message_bytes
        if self.dedup_window is not None:
            if not re.fullmatch(WINDOW, self.dedup_window):
                raise errors.InvalidRequest(
                    f"config.dedupWindow is {shown(self.dedup_window)}, must be from 1s to 24h, as 90s, 10m or 2h"
                )
            options["dedup_window_seconds"] = int(self.dedup_window[:-1]) * SECONDS[self.dedup_window[-1]]
        if self.quota is not None:
            rates = (self.quota.events, self.quota.bytes)
            options["quota"] = tuple(None if rate is None else (rate.per_second, rate.burst) for rate in rates)
        return options


class NewStream(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A stream to be created."""

    name: Annotated[
        str,
        msgspec.Meta(
            pattern=f"^(?:{NAME.pattern})$",
            description="Names that the engine uses itself are refused.",
            extra={MUST_BE: f"1 to {MAX_NAME} of A-Z a-z 0-9 . _ -"},
            extra_json_schema={"not": {"enum": [".", ".."]}},
        ),
    ]
    partitions: Annotated[int, msgspec.Meta(ge=1, le=MAX_PARTITIONS)] = 1
    replication_factor: Annotated[int, msgspec.Meta(ge=1, le=MAX_REPLICAS)] = 1
    config: ConfigChange = msgspec.field(default_factory=ConfigChange)


class StreamChange(msgspec.Struct, forbid_unknown_fields=True):
    """A change of a stream's configuration."""

    config: ConfigChange


class Deleted(msgspec.Struct, rename="camel"):
    """The stream and everything in it are deleted. A stream of the same name that is created later is another one."""

    status: Literal["deleted"]
    stream_name: str
    deleted_at: str


def shapes(max_body_bytes: int) -> tuple[type[NewStream], type[StreamChange]]:
    """The bodies that create and change a stream, with the bounds of one server: a record comes in a body, so the limit
    of bodies bounds `maxMessageBytes`."""
    largest = Annotated[int, msgspec.Meta(ge=1, le=max_body_bytes)] | None
    config = _with(ConfigChange, ("max_message_bytes", largest, None))
    new = _with(NewStream, ("config", config, msgspec.field(default_factory=config)))
    return new, _with(StreamChange, ("config", config))


def _with(shape: type[S], field: tuple[str, object] | tuple[str, object, object]) -> type[S]:
    """A struct of the same name, fields and description, with another type of one field."""
    made: Any = msgspec.defstruct(
        shape.__name__,
        [field],
        bases=(shape,),
        namespace={"__doc__": shape.__doc__},
        rename="camel",
        forbid_unknown_fields=True,
    )
    return cast("type[S]", made)


def routes(services: Services) -> list[Route]:
    engine = services.engine
    new_stream, stream_change = shapes(services.settings.max_body_bytes)

    async def create(request: Request) -> Response:
        request.principal.check_all_projects(NO_CHANGES)
        asked = read(await request.body(), new_stream)
        await services.blocking(engine.create_stream, asked.name, asked.partitions, asked.config.options())
        made = describe(await services.blocking(engine.stream, asked.name))
        if asked.replication_factor > 1:
            made.warnings = [
                f"replicationFactor is {asked.replication_factor}: the embedded log keeps one replica of each partition"
            ]
        return json_response(201, made)

    async def change(request: Request) -> Response:
        request.principal.check_all_projects(NO_CHANGES)
        name = known_name(request.bound["name"])
        asked = read(await request.body(), stream_change)
        await services.blocking(engine.alter_stream, name, asked.config.options())
        return json_response(200, describe(await services.blocking(engine.stream, name)))

    async def delete(request: Request) -> Response:
        request.principal.check_all_projects(NO_CHANGES)
        name = known_name(request.bound["name"])
        await services.blocking(engine.delete_stream, name)
        return json_response(200, Deleted("deleted", name, rfc3339_now()))

    return [
        Route(
            "POST",
            "/api/v1/streams",
            create,
            Role.OPS,
            MAX_BODY_BYTES,
            summary="Creates a stream.",
            shape=new_stream,
            responses={201: ResponseSpec(StreamMetadata, "The stream is created, durably.")},
            errors=(errors.StreamAlreadyExists, errors.StreamLimitReached),
        ),
        Route(
            "PATCH",
            "/api/v1/streams/{name}",
            change,
            Role.OPS,
            MAX_BODY_BYTES,
            summary="Changes the configuration of a stream.",
            shape=stream_change,
            responses={200: ResponseSpec(StreamMetadata, "The stream after the change.")},
            errors=(errors.StreamNotFound,),
        ),
        Route(
            "DELETE",
            "/api/v1/streams/{name}",
            delete,
            Role.OPS,
            summary="Deletes a stream and all its data.",
            responses={200: ResponseSpec(Deleted, "The stream is deleted.")},
            errors=(errors.StreamNotFound, errors.StorageUnavailable),
        ),
    ]
