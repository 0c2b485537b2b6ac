"""`POST /api/events` and `POST /api/events/batch`: events onto the stream `events`. Rust alone reads the bodies, and
writes the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from forebay._forebay import SHAPE_EVENT, SHAPE_EVENT_BATCH
from forebay.server.http.body import at_least_one
from forebay.server.http.ingest import DURABLE, WITHOUT_QUARANTINE, Ingest, options_without_quarantine
from forebay.server.http.response import Response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.app import App
    from forebay.server.http.request import Request

MAX_EVENTS = 1000
"""The largest batch; the engine checks it."""

FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999; the engine checks it."""

Text = Annotated[str, msgspec.Meta(min_length=1)]
Millis = Annotated[
    float, msgspec.Meta(ge=0, description="Milliseconds, measured from admission to the durable commit.")
]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENTS)]


class Event(msgspec.Struct):
    """One event. Further fields are kept as they are; `id` and `timestamp` are filled in where they are missing."""

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

    index: Annotated[int, msgspec.Meta(ge=0, lt=MAX_EVENTS, description="Its place in the batch, from 0.")]
    error: Text


class TakenBatch(msgspec.Struct, rename="camel"):
    """What became of a batch. `success` says whether all of it is stored."""

    success: bool
    processed: Count
    failed: Count
    total_processing_time: Millis
    errors: list[EventProblem]


class RefusedBatch(TakenBatch, rename="camel", kw_only=True):
    """A batch without a valid event."""

    error: Text


def routes(app: App) -> list[Route]:
    ingest = Ingest(app.engine, app.settings)

    async def take(request: Request, shape: int) -> Response:
        request.principal.check_all_projects("and events have none")
        return await ingest(request, shape, options_without_quarantine(request))

    async def single(request: Request) -> Response:
        return await take(request, SHAPE_EVENT)

    async def batch(request: Request) -> Response:
        return await take(request, SHAPE_EVENT_BATCH)

    return [
        Route(
            "POST",
            "/api/events",
            single,
            Role.INGEST,
            app.settings.max_body_bytes,
            summary="Stores one event on the stream `events`.",
            shape=Event,
            headers=WITHOUT_QUARANTINE,
            responses={200: ResponseSpec(Taken, "It is stored.", DURABLE)},
        ),
        Route(
            "POST",
            "/api/events/batch",
            batch,
            Role.INGEST,
            app.settings.max_body_bytes,
            summary="Stores up to 1000 events on the stream `events`; invalid ones are named, the others stored.",
            shape=Annotated[list[Any], at_least_one("Event", MAX_EVENTS)],
            headers=WITHOUT_QUARANTINE,
            responses={
                200: ResponseSpec(TakenBatch, "At least one event is stored.", DURABLE),
                400: ResponseSpec(RefusedBatch, "No event is."),
            },
        ),
    ]
