"""Exports of the log: everything that a search finds, as a file."""

from __future__ import annotations

import time
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import msgspec

from forebay import errors
from forebay.embedded.conditions import Conditions, Reading, walk_request
from forebay.server.api.platform.log_filters import FILTERS, conditions_of
from forebay.server.api.platform.logs import PATH, SEARCH_ERRORS
from forebay.server.api.streams.streams import LOGS, rfc3339
from forebay.server.exports.formats import KINDS, Format, check_available
from forebay.server.exports.order import Order, new_id
from forebay.server.exports.register import Known, Status
from forebay.server.http.file_answer import FileAnswer
from forebay.server.http.parameters import Parameters, choice, text
from forebay.server.http.request import shown
from forebay.server.http.response import Header, Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.http.tickets import TICKET

if TYPE_CHECKING:
    from forebay._forebay import Engine, SearchCancel
    from forebay.server.http.auth import Principal
    from forebay.server.http.request import Request
    from forebay.server.http.router import Answer
    from forebay.server.http.streaming import Streaming
    from forebay.server.services import Services

EXPORT = f"{PATH}/export"

FORMAT = choice(
    "format",
    "json",
    get_args(Format),
    "`json`: a line of JSON an event, as consumers get it. `csv`: RFC 4180, with a head; a field that a spreadsheet "
    "would take for a formula has an apostrophe before it. `txt`: time, level, service and message, a line an event. "
    "`parquet`: times as timestamps and metadata as JSON text; needs pyarrow on the server.",
)
IF_NONE_MATCH = text("If-None-Match", None, "Entity tags; of one of these, nothing is sent.", low=0)
IF_RANGE = text("If-Range", None, "The entity tag that `Range` is about; of another one, all is sent.", low=0)
RANGE = text("Range", None, "`bytes=5-9`, `bytes=5-` or `bytes=-5`; of several ranges, all is sent.", low=0)

SEGMENTS = {"export_id": "The export's id."}

Count = Annotated[int, msgspec.Meta(ge=0)]


class ExportBegun(msgspec.Struct):
    """An export that waits for its turn. Ask for its status until it is completed."""

    export_id: str
    status: Literal["processing"]
    download_url: str | None
    format: Format


class ExportProgress(msgspec.Struct):
    """Events and bytes in the file, and how much of the log was read, from 0 to 1."""

    records: Count
    bytes: Count
    fraction: Annotated[float, msgspec.Meta(ge=0, le=1)]


class ExportState(msgspec.Struct):
    """An export. `records_expired` counts events that were deleted before they could be read, `records_lost` those
    that are damaged, whether they would have matched or not; `error` is why it failed; `download_url` is there while
    the file is, which is until `expires_at`."""

    export_id: str
    status: Status
    format: Format
    progress: ExportProgress
    records_expired: Count
    records_lost: Count
    error: str | None
    download_url: str | None
    created_at: str
    expires_at: str | None


class ExportDeleted(msgspec.Struct):
    """An export that is no more."""

    export_id: str
    status: Literal["deleted"]


class ExportBegunAnswer(msgspec.Struct):
    """What was begun."""

    success: Literal[True]
    data: ExportBegun


class ExportStateAnswer(msgspec.Struct):
    """How it is."""

    success: Literal[True]
    data: ExportState


class ExportDeletedAnswer(msgspec.Struct):
    """What was deleted."""

    success: Literal[True]
    data: ExportDeleted


def routes(services: Services) -> list[Route]:
    exports = services.exports

    def known(request: Request) -> Known:
        """The export that the request names, if its token may know of it."""
        found = exports.find(request.bound["export_id"])
        if found is None or not found.order.is_seen_by(request.principal, owner_of(request.principal)):
            raise errors.NotFound(f"there is no export {shown(request.bound['export_id'])}, or not any more")
        return found

    async def export(request: Request) -> Response:
        conditions, form = conditions_of(request), cast(Format, request.value(FORMAT))
        await services.blocking(check_available, form)
        begin = Reading(*services.engine.position(LOGS, True), services.engine.position(LOGS, False)[1])
        with services.searches.attended(request) as ends:
            await services.searches.run(request, partial(_check, services.engine, conditions, begin), ends)
        if request.scope.method == "HEAD":
            return Response(202, b"")
        order = Order(
            export_id=new_id(),
            format=form,
            conditions=conditions,
            begin=begin,
            owner=owner_of(request.principal),
            owner_name=request.principal.name,
            asked=time.time_ns() // 1000,
        )
        await services.blocking(exports.create, order)
        return json_response(202, ExportBegunAnswer(True, ExportBegun(order.export_id, "processing", None, form)))

    async def state(request: Request) -> Response:
        return json_response(200, ExportStateAnswer(True, _state(known(request), exports.now())))

    async def delete(request: Request) -> Response:
        found = known(request)
        await services.blocking(exports.delete, found)
        return json_response(200, ExportDeletedAnswer(True, ExportDeleted(found.order.export_id, "deleted")))

    async def download(request: Request) -> Response | Streaming:
        found, principal = known(request), request.principal
        finished = exports.completed(found)
        headers: list[Header] = [
            ("content-type", KINDS[finished.order.format].media),
            ("content-disposition", f'attachment; filename="{finished.order.file_name}"'),
            # What it has is for who may read it; its tag tells a cache whether it is the same.
            ("cache-control", "private, no-cache"),
            ("x-content-type-options", "nosniff"),
        ]
        answer = FileAnswer(finished.bytes, f'"{finished.order.export_id}"', headers)
        return await answer.response(
            request,
            services.deliveries,
            lambda: services.blocking(exports.open, found),
            services.blocking,
            lambda end: services.sessions.held(principal, end),
        )

    return [_export_route(export), *_state_routes(state, delete), _download_route(download)]


def owner_of(principal: Principal) -> str:
    """What tells a token from others where operators can see it: not the digest that it is known by."""
    return sha256(b"forebay export\0" + principal.digest).hexdigest()


def _check(engine: Engine, conditions: Conditions, begin: Reading, cancel: SearchCancel) -> None:
    """Takes a step that has no time, for what is wrong with the conditions.

    Raises:
        InvalidRequest: naming the condition.
        Saturated: too many searches run.
    """
    engine.search_export(walk_request(conditions, 0.0, begin, 1), b"", cancel)


def _state(known: Known, now: float) -> ExportState:
    order, reached, finished, status = known.order, known.progress, known.finished, known.status(now)
    progress = ExportProgress(0, 0, 0.0)
    if reached is not None:
        progress = ExportProgress(reached.records, reached.bytes, round(order.fraction(reached.next), 4))
    if finished is not None:
        progress = ExportProgress(finished.records, finished.bytes, 1.0)
    counted = finished or reached
    return ExportState(
        export_id=order.export_id,
        status=status,
        format=order.format,
        progress=progress,
        records_expired=counted.expired if counted else 0,
        records_lost=counted.lost if counted else 0,
        error=known.error,
        download_url=f"{EXPORT}/{order.export_id}/download" if status == "completed" else None,
        created_at=rfc3339(order.asked),
        expires_at=None if finished is None else rfc3339(finished.expires),
    )


def _export_route(answer: Answer) -> Route:
    return Route(
        "GET",
        EXPORT,
        answer,
        Role.OPS,
        parameters=Parameters(*FILTERS, FORMAT),
        summary="Begins to write all events that a search would find now into a file.",
        responses={
            202: ResponseSpec(ExportBegunAnswer, "It waits for its turn; with a token for projects, for their events.")
        },
        errors=SEARCH_ERRORS,
    )


def _state_routes(state: Answer, delete: Answer) -> list[Route]:
    path = f"{EXPORT}/{{export_id}}"
    return [
        Route(
            "GET",
            path,
            state,
            Role.OPS,
            summary="How far an export is, and where its file is.",
            responses={200: ResponseSpec(ExportStateAnswer, "Its status.")},
            segments=SEGMENTS,
        ),
        Route(
            "DELETE",
            path,
            delete,
            Role.OPS,
            summary="Ends an export that is under way, or removes its file.",
            responses={200: ResponseSpec(ExportDeletedAnswer, "It is no more.")},
            errors=(errors.StorageUnavailable,),
            segments=SEGMENTS,
        ),
    ]


def _download_route(download: Answer) -> Route:
    headers = ("Accept-Ranges", "Cache-Control", "Content-Disposition", "ETag")
    media, *others = (kind.media.partition(";")[0] for kind in KINDS.values())
    return Route(
        "GET",
        f"{EXPORT}/{{export_id}}/download",
        download,
        Role.OPS,
        parameters=Parameters(TICKET),
        summary="The file of an export that is completed, or a part of it.",
        headers=(RANGE, IF_RANGE, IF_NONE_MATCH),
        responses={
            200: ResponseSpec(None, "All of it, in the media type of its format.", headers, media, tuple(others)),
            206: ResponseSpec(None, "The range.", (*headers, "Content-Range"), media, tuple(others)),
            304: ResponseSpec(None, "The client has it.", headers, ""),
            416: ResponseSpec(None, "Nothing of the range is there.", (*headers, "Content-Range"), ""),
        },
        errors=(errors.Saturated,),
        segments=SEGMENTS,
    )
