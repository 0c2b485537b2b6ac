"""`POST /v1/drain`: whole batches of log events onto the stream `logs`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from forebay.server.http.ingest import DURABLE, IngestSpec
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.time_pattern import TIME

Text = Annotated[str, msgspec.Meta(min_length=1)]
Time = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^(?:{TIME})$",
        description="RFC 3339, ISO 8601 or SQL; without a zone it is UTC; fractions beyond microseconds are cut off.",
        examples=["2024-05-31T15:30:45Z", "2024-05-31 15:30:45.123456+00"],
    ),
]


class LogEvent(msgspec.Struct):
    """One log event. Unknown fields are kept as they are."""

    project_id: Annotated[str, msgspec.Meta(min_length=1, max_length=1024, description="At most 1024 bytes of UTF-8.")]
    timestamp: Time
    level: Text
    service: Text
    message: str
    metadata: dict[str, Any] | None = None


class LogBatch(msgspec.Struct):
    """A batch of log events. Either all of them are stored or none."""

    events: Annotated[list[LogEvent], msgspec.Meta(min_length=1)]


MAX_NAMED = 1000
"""The most quarantined events that an answer names; the engine enforces it."""


class QuarantinedEvent(msgspec.Struct):
    """An event that was stored on the stream of rejected events."""

    index: Annotated[int, msgspec.Meta(ge=0, description="Index of the event in the body, from 0.")]
    error: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            description="The error that the body would be refused with, without the quarantine.",
            examples=["events[3].timestamp: the month must be 01 to 12"],
        ),
    ]


class Accepted(msgspec.Struct, omit_defaults=True):
    """The batch is stored as `Forebay-Durability` says. `quarantined` is there under `Forebay-On-Invalid: quarantine`
    and counts them; `errors` names them, the first 1000 if there are more, and is there when
    there are any."""

    status: Literal["accepted"]
    quarantined: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    errors: Annotated[list[QuarantinedEvent], msgspec.Meta(min_length=1, max_length=MAX_NAMED)] | msgspec.UnsetType = (
        msgspec.UNSET
    )


SPECS = {"drain": IngestSpec(LogBatch, {202: ResponseSpec(Accepted, "Every event of the batch is stored.", DURABLE)})}
