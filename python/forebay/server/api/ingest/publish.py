"""`POST /api/v1/streams/{name}/events` and `…/events/batch`: records onto a stream. The engine reads the
bodies and writes the answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from forebay.server.api.ingest.analytics import EventTime, Millis
from forebay.server.http.body import at_least_one
from forebay.server.http.ingest import DURABLE, INGEST_ROUTES, IngestSpec
from forebay.server.http.response_spec import ResponseSpec

MAX_EVENTS = INGEST_ROUTES["publish-batch"].max_events
"""The most events of a batch."""

MAX_TIMEOUT_MS = 60_000
"""The longest `options.timeout`; the engine enforces it."""


Key = Annotated[str, msgspec.Meta(max_length=1024, description="At most 1024 bytes of UTF-8.")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class NewEvent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """An event. Its partition is `partition` if given, else chosen by a hash of `partitionKey`, else of `key`. Events
    without any of them go to the partitions in turn, a whole batch at a time."""

    value: Annotated[Any, msgspec.Meta(description="Any JSON, kept as it is sent.")]
    key: Key | None = None
    headers: dict[str, str] | None = None
    partition_key: Key | None = None
    partition: Annotated[int, msgspec.Meta(ge=0, le=1023)] | None = None
    timestamp: EventTime | Millis | None = None


class BatchOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a batch. `compression` is echoed; the stream's own compression is used at rest. `timeout` is in
    milliseconds: when the commit takes longer, the answer is 504 and the outcome is unknown."""

    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] | None = None
    timeout: Annotated[int, msgspec.Meta(ge=1, le=MAX_TIMEOUT_MS)] | None = None


class NewBatch(msgspec.Struct, forbid_unknown_fields=True):
    """A batch of events. Invalid ones are refused one by one, and the others are stored."""

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
    """The outcome of each event, in the order of the request."""

    batch_id: str
    total_events: Count
    success_count: Count
    failure_count: Count
    results: list[Annotated[dict[str, Any], msgspec.Meta(description="The event's partition and offset, or an error.")]]
    compression: str | msgspec.UnsetType = msgspec.UNSET


_NOWHERE = "so it publishes nowhere"

SPECS = {
    "publish": IngestSpec(NewEvent, {201: ResponseSpec(Published, "The event is stored.", DURABLE)}, _NOWHERE),
    "publish-batch": IngestSpec(
        NewBatch,
        {
            200: ResponseSpec(PublishedBatch, "At least one event is stored.", DURABLE),
            400: ResponseSpec(PublishedBatch, "No event is stored."),
        },
        _NOWHERE,
    ),
}
