"""Tickets for browsers, whose WebSocket and EventSource cannot send a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forebay import errors
from forebay.server.http.response import JSON, Response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.http.tickets import TICKET_SECONDS

if TYPE_CHECKING:
    from forebay.server.app import App
    from forebay.server.http.request import Request


class MadeTicket(msgspec.Struct, rename="camel"):
    """Good for one request, as `?ticket=`, if it comes within so many seconds; one that opens a tail also for its own
    reconnects."""

    ticket: str
    expires_in_seconds: int


def routes(app: App) -> list[Route]:
    async def make(request: Request) -> Response:
        made = MadeTicket(app.tickets.make(request.principal), TICKET_SECONDS)
        # A second reader of a cached one would find it used, or use it first.
        return Response(200, msgspec.json.encode(made), [JSON, ("cache-control", "no-store")])

    return [
        Route(
            "POST",
            "/api/ticket",
            make,
            Role.READ,
            summary="A ticket that stands for the token in one request, where a browser cannot send the token.",
            responses={
                200: ResponseSpec(MadeTicket, "The ticket, for `?ticket=` of a route that answers with a stream.")
            },
            errors=(errors.Saturated,),
        )
    ]
