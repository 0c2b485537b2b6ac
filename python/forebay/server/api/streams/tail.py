"""Follows a stream as Server-Sent Events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay import errors
from forebay._forebay import Filter
from forebay.server.api.streams.streams import check_readable
from forebay.server.broadcast.position import ID, MAX_ID_CHARACTERS, Position, parse
from forebay.server.broadcast.tail import Choice, TailBroadcasters
from forebay.server.http.parameters import Parameters, choice, text
from forebay.server.http.request import shown
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.http.streaming import EVENT_STREAM, Streaming
from forebay.server.http.tickets import TICKET

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.http.stream_writer import StreamWriter
    from forebay.server.services import Services

LAST_EVENT_ID = "last-event-id"
"""The header that a browser sends when it reconnects (HTML Living Standard, 9.2.4)."""

MAX_EXPRESSION = 4096
"""The longest filter; the engine enforces it in bytes."""

FROM = choice("from", "now", ("now", "earliest"), "The first position when none is given.")
POSITION = text(
    "position",
    None,
    "The id of the last event that the client has, as `Last-Event-ID`, for clients that cannot send that header. The "
    "header wins when both are sent: a browser that reconnects requests the same address, and its header is newer.",
    high=MAX_ID_CHARACTERS,
    pattern=ID,
)
FILTER = text(
    "filter",
    None,
    "A predicate in CEL over `value`, `key`, `headers`, `partition`, `offset` and `timestamp` (milliseconds): only "
    "records for which it is true are sent.",
    high=MAX_EXPRESSION,
)
RESUME = text(
    "Last-Event-ID",
    None,
    "The id of the last event that the client has; the tail begins after it.",
    low=0,
    high=MAX_ID_CHARACTERS,
)
EVENTS = (
    "One event for each record, until the client disconnects. The id is the position behind the record; the data is "
    '`{"eventId","partition","offset","timestamp","key","headers","value"}`. An event of type `gap` names records that '
    "are not there (`reason`: `expired`, deleted by retention, or `damaged`), one of type `end` why the server ends "
    "the tail: `deleted`, `closed`, `unauthorized` (the token was revoked or changed, within two seconds), or the name "
    "of an error. While what comes next cannot be read, a comment says why each second, and nothing is passed over."
)


def routes(services: Services) -> list[Route]:
    broadcasters = TailBroadcasters(
        # Each tail keeps a connection; the other half is for senders.
        services.engine,
        services,
        max(1, services.settings.max_connections // 2),
    )

    def start(name: str, request: Request) -> Position:
        """The tail's first position: behind the last event that the client has, or the one that it asks for."""
        now = services.engine.position(name, False)
        last, sent_as = request.scope.headers.get(LAST_EVENT_ID), LAST_EVENT_ID
        # A browser that has seen no id yet sends an empty header, or none.
        if last is None or not last.strip():
            last, sent_as = request.value(POSITION), POSITION.name
        if last is None:
            return services.engine.position(name, True) if request.value(FROM) == "earliest" else now
        resumed = parse(last, sent_as)
        if resumed[0] != now[0]:
            # The stream was deleted and created again, so all of its records are new to the client.
            return services.engine.position(name, True)
        if len(resumed[1]) != len(now[1]) or any(here > end for here, end in zip(resumed[1], now[1], strict=True)):
            raise errors.InvalidOffset(f"{sent_as} is {shown(last)}, which is beyond the end of stream {name!r}")
        return resumed

    async def tail(request: Request) -> Streaming:
        name, principal = request.bound["name"], request.principal
        check_readable(principal, name)
        position = start(name, request)
        expression = request.value(FILTER)
        choice = Choice(name, position[0], expression, principal.projects)
        broadcasters.check_room()
        compiled = broadcasters.filter_of(choice)
        if expression is not None and compiled is None:
            compiled = await services.blocking(Filter, expression)
            # Other tails may have begun meanwhile. Nothing is awaited from here to `serve`.
            broadcasters.check_room()

        async def feed(writer: StreamWriter) -> None:
            held = services.sessions.held(principal, lambda: broadcasters.dismiss(writer))
            with held, services.tickets.connected(request.value(TICKET), writer.close):
                await broadcasters.serve(choice, compiled, position, writer)

        return Streaming(EVENT_STREAM, feed)

    return [
        Route(
            "GET",
            "/api/v1/streams/{name}/tail",
            tail,
            Role.READ,
            parameters=Parameters(FILTER, FROM, POSITION, TICKET),
            summary="Records as they are written (Server-Sent Events).",
            headers=(RESUME,),
            responses={200: ResponseSpec(None, EVENTS, media="text/event-stream")},
            errors=(errors.StreamNotFound, errors.InvalidOffset, errors.Saturated),
        )
    ]
