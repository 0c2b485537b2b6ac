"""`POST /v1/analytics/track` and `…/track/batch`: analytics events onto the stream `analytics`. The engine
reads the bodies and writes the answers."""

from __future__ import annotations

from typing import Annotated

import msgspec

from forebay.server.api.ingest.drain import Accepted
from forebay.server.api.ingest.events import FIRST_MS, LAST_MS
from forebay.server.http.ingest import DURABLE, INGEST_ROUTES, IngestSpec
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.time_pattern import TIME

MAX_EVENTS = INGEST_ROUTES["track-batch"].max_events
"""The most events of a batch."""

_BITS = 63
Whole = Annotated[int, msgspec.Meta(ge=-(1 << _BITS), le=(1 << _BITS) - 1)]
KeyText = Annotated[str, msgspec.Meta(max_length=1024, description="At most 1024 bytes of UTF-8.")]

EventTime = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^(?:{TIME})$", description="RFC 3339, ISO 8601 or SQL.", examples=["2024-05-31T15:30:45.123Z"]
    ),
]
Millis = Annotated[int, msgspec.Meta(ge=FIRST_MS, le=LAST_MS, description="Milliseconds since 1970 UTC.")]
"""An event's own time is an `EventTime` or this."""


class TrackedEvent(msgspec.Struct):
    """The event that is tracked."""

    type: Annotated[str, msgspec.Meta(min_length=1, examples=["page_view"])]


class User(msgspec.Struct):
    """User the event belongs to. Events of one `id` keep their order."""

    id: Annotated[KeyText | None, msgspec.Meta(examples=["user-123"])] = None


class Device(msgspec.Struct):
    """Device the event came from."""

    user_agent: Annotated[str | None, msgspec.Meta(examples=["Mozilla/5.0"])] = None
    screen_width: Annotated[Whole | None, msgspec.Meta(examples=[1920])] = None
    screen_height: Annotated[Whole | None, msgspec.Meta(examples=[1080])] = None


class Context(msgspec.Struct):
    """Page and session of the event. Events without a user's id keep their order by `session_id`."""

    url: Annotated[str | None, msgspec.Meta(examples=["https://example.com"])] = None
    session_id: Annotated[KeyText | None, msgspec.Meta(examples=["sess-abc"])] = None


class PerformanceMetrics(msgspec.Struct):
    """Performance measurements of the page."""

    load_time: Annotated[float | None, msgspec.Meta(examples=[250])] = None


class AnalyticsEvent(msgspec.Struct):
    """One analytics event. Unknown fields are kept as they are, also inside the objects."""

    event: TrackedEvent
    user: User | None = None
    device: Device | None = None
    context: Context | None = None
    metrics: PerformanceMetrics | None = None
    timestamp: EventTime | Millis | None = None


_UNLIMITED = "and analytics events have none"

SPECS = {
    "track": IngestSpec(AnalyticsEvent, {202: ResponseSpec(Accepted, "The event is stored.", DURABLE)}, _UNLIMITED),
    "track-batch": IngestSpec(
        Annotated[list[AnalyticsEvent], msgspec.Meta(min_length=1, max_length=MAX_EVENTS)],
        {202: ResponseSpec(Accepted, "Every event of the batch is stored.", DURABLE)},
        _UNLIMITED,
    ),
}
