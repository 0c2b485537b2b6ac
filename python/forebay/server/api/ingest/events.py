"""`POST /api/events` and `POST /api/events/batch`: events onto the stream `events`. The engine reads the
bodies and writes the answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from forebay.server.http.body import at_least_one
from forebay.server.http.ingest import DURABLE, INGEST_ROUTES, IngestSpec
from forebay.server.http.response_spec import ResponseSpec

MAX_EVENTS = INGEST_ROUTES["event-batch"].max_events
"""The most events of a batch."""

FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The first and the last millisecond of the years 1 to 9999; the engine enforces them."""

Text = Annotated[str, msgspec.Meta(min_length=1)]
Millis = Annotated[
    float, msgspec.Meta(ge=0, description="Milliseconds, measured from admission to the durable commit.")
]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENTS)]


class Event(msgspec.Struct):
    """One event. Unknown fields are kept as they are; a missing `id` or `timestamp` is filled in."""

    type: Annotated[Text, msgspec.Meta(examples=["user_action", "page_view", "purchase"])]
    source: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=1024,
            description="Events of one source keep their order. At most 1024 bytes of UTF-8.",
            examples=["web_app", "mobile_app", "api"],
        ),
    ]
    data: Annotated[dict[str, Any], msgspec.Meta(examples=[{"user_id": "12345", "action": "click"}])]
    timestamp: (
        Annotated[
            int,
            msgspec.Meta(ge=FIRST_MS, le=LAST_MS, description="Milliseconds since 1970 UTC.", examples=[1640995200000]),
        ]
        | None
    ) = None
    id: (
        Annotated[
            str,
            msgspec.Meta(
                min_length=1,
                max_length=256,
                description="At most 256 bytes of UTF-8.",
                examples=["optional-custom-id"],
            ),
        ]
        | None
    ) = None


class Taken(msgspec.Struct, rename="camel"):
    """The event is stored as `Forebay-Durability` says."""

    success: Literal[True]
    event_id: Annotated[Text, msgspec.Meta(examples=["evt_1640995200000_abc123"])]
    processing_time: Millis


class EventProblem(msgspec.Struct):
    """An event that was not stored."""

    index: Annotated[int, msgspec.Meta(ge=0, lt=MAX_EVENTS, description="Index of the event in the batch, from 0.")]
    error: Text


class TakenBatch(msgspec.Struct, rename="camel"):
    """The outcome of a batch. `success` says whether all of its events are stored."""

    success: bool
    processed: Count
    failed: Count
    total_processing_time: Millis
    errors: list[EventProblem]


class RefusedBatch(TakenBatch, rename="camel", kw_only=True):
    """A batch without a valid event."""

    error: Text


_UNLIMITED = "and events have none"

SPECS = {
    "event": IngestSpec(Event, {200: ResponseSpec(Taken, "The event is stored.", DURABLE)}, _UNLIMITED),
    "event-batch": IngestSpec(
        Annotated[list[Any], at_least_one("Event", MAX_EVENTS)],
        {
            200: ResponseSpec(TakenBatch, "At least one event is stored.", DURABLE),
            400: ResponseSpec(RefusedBatch, "No event is stored."),
        },
        _UNLIMITED,
    ),
}
