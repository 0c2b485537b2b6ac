"""`POST /api/v1/streams/{name}/events` and `…/events/batch`: records onto a stream. Rust alone reads the bodies, and
writes the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from forebay import errors
from forebay._forebay import SHAPE_PUBLISH, SHAPE_PUBLISH_BATCH
from forebay.server.api.ingest.analytics import EventTime, Millis
from forebay.server.api.streams.streams import known_name
from forebay.server.http.body import at_least_one
from forebay.server.http.ingest import DURABLE, WITHOUT_QUARANTINE, Ingest, options_without_quarantine
from forebay.server.http.response import Response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.app import App
    from forebay.server.http.request import Request

MAX_EVENTS = 10_000
"""The largest batch; the engine checks it."""

MAX_TIMEOUT_MS = 60_000
"""The longest `options.timeout`; the engine checks it."""


Key = Annotated[str, msgspec.Meta(max_length=1024, description="At most 1024 bytes of UTF-8.")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class NewEvent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """An event. `partition` names where it goes; else a hash of `partitionKey`, else of `key`; what has neither goes to
    the partitions in turn, whole batches at a time."""

    value: Annotated[Any, msgspec.Meta(description="Any JSON, kept as it is sent.")]
    key: Key | None = None
    headers: dict[str, str] | None = None
    partition_key: Key | None = None
    partition: Annotated[int, msgspec.Meta(ge=0, le=1023)] | None = None
    timestamp: EventTime | Millis | None = None


class BatchOptions(msgspec.Struct, forbid_unknown_fields=True):
    """`compression` is echoed: at rest the stream's own holds. `timeout` is in milliseconds: a commit that comes later
    is answered with 504, and its outcome is unknown."""

    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] | None = None
    timeout: Annotated[int, msgspec.Meta(ge=1, le=MAX_TIMEOUT_MS)] | None = None


class NewBatch(msgspec.Struct, forbid_unknown_fields=True):
    """Events as for a single one. An invalid one is refused in its place, and the others are stored."""

    events: Annotated[list[Any], at_least_one("NewEvent", MAX_EVENTS)]
    options: BatchOptions | None = None


class Published(msgspec.Struct, rename="camel"):
    """The event is stored as `Forebay-Durability` says."""

    event_id: str
    partition: Count
    offset: Count
    timestamp: str
    status: Literal["published"]


class PublishedBatch(msgspec.Struct, rename="camel", omit_defaults=True):
    """What became of each event, in the order of the request."""

    batch_id: str
    total_events: Count
    success_count: Count
    failure_count: Count
    results: list[Annotated[dict[str, Any], msgspec.Meta(description="A place, or an error.")]]
    compression: str | msgspec.UnsetType = msgspec.UNSET


def routes(app: App) -> list[Route]:
    ingest = Ingest(app.engine, app.settings)

    async def publish(request: Request, shape: int) -> Response:
        name = known_name(request.bound["name"])
        request.principal.check_all_projects("so it publishes nowhere")
        return await ingest(request, shape, options_without_quarantine(request)._replace(stream=name))

    async def single(request: Request) -> Response:
        return await publish(request, SHAPE_PUBLISH)

    async def batch(request: Request) -> Response:
        return await publish(request, SHAPE_PUBLISH_BATCH)

    return [
        Route(
            "POST",
            "/api/v1/streams/{name}/events",
            single,
            Role.INGEST,
            app.settings.max_body_bytes,
            summary="Publishes one event.",
            shape=NewEvent,
            headers=WITHOUT_QUARANTINE,
            responses={201: ResponseSpec(Published, "It is stored.", DURABLE)},
            errors=(errors.StreamNotFound,),
        ),
        Route(
            "POST",
            "/api/v1/streams/{name}/events/batch",
            batch,
            Role.INGEST,
            app.settings.max_body_bytes,
            summary="Publishes up to 10,000 events.",
            shape=NewBatch,
            headers=WITHOUT_QUARANTINE,
            responses={
                200: ResponseSpec(PublishedBatch, "At least one event is stored.", DURABLE),
                400: ResponseSpec(PublishedBatch, "No event is."),
            },
            errors=(errors.StreamNotFound,),
        ),
    ]
