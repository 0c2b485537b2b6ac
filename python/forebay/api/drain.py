"""`POST /v1/drain`: whole batches of log events onto the stream `logs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from forebay._forebay import SHAPE_DRAIN
from forebay.http.commit import Commit
from forebay.http.reply import Reply
from forebay.http.response import JSON, Response
from forebay.http.router import Role, Route
from forebay.http.terms import HEADERS, Terms, terms_of

if TYPE_CHECKING:
    from forebay.app import App
    from forebay.config import Settings
    from forebay.http.request import Request


Text = Annotated[str, msgspec.Meta(min_length=1)]
Time = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        description="RFC 3339, ISO 8601 or SQL; without a zone it is UTC; fractions beyond microseconds are cut off.",
        examples=["2024-05-31T15:30:45Z", "2024-05-31 15:30:45.123456+00"],
    ),
]


class LogEvent(msgspec.Struct):
    """One log event. Further fields are kept as they are."""

    project_id: Text
    timestamp: Time
    level: Text
    service: Text
    message: str
    metadata: dict[str, Any] | None = None


class LogBatch(msgspec.Struct):
    """A whole batch is stored or none of it. For the description: Rust alone reads it."""

    events: Annotated[list[LogEvent], msgspec.Meta(min_length=1)]


class Accepted(msgspec.Struct, omit_defaults=True):
    """The batch is stored as `Forebay-Durability` says. `quarantined` is there under `Forebay-On-Invalid: quarantine`
    and counts the events that were put aside."""

    status: Literal["accepted"]
    quarantined: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET


def acknowledger(settings: Settings) -> Callable[[Terms, int], Response]:
    """Makes the answer to an acknowledged request from its terms and the number of quarantined events."""
    headers = [JSON, ("forebay-durability", settings.durability)]
    accepted = Response(202, b'{"status":"accepted"}', headers)

    def acknowledge(terms: Terms, quarantined: int) -> Response:
        if not terms.quarantine:
            return accepted
        return Response(202, b'{"status":"accepted","quarantined":%d}' % quarantined, headers)

    return acknowledge


def routes(app: App) -> list[Route]:
    acknowledge = acknowledger(app.settings)

    async def drain(request: Request) -> Response:
        terms = terms_of(request.scope.headers, request.grant)
        body = await request.body(encoded=True)
        commit: Commit[int] = Commit()
        app.engine.submit(SHAPE_DRAIN, body, commit, *terms)
        return acknowledge(terms, await commit.wait())

    return [
        Route(
            "POST",
            "/v1/drain",
            drain,
            Role.INGEST,
            app.settings.max_body_bytes,
            summary="Stores a batch of log events on the stream `logs`.",
            shape=LogBatch,
            headers=HEADERS,
            replies={202: Reply(Accepted, "Every event of the batch is stored.", ("Forebay-Durability",))},
        )
    ]
