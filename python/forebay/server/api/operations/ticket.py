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
    from forebay.server.http.request import Request
    from forebay.server.services import Services


class MadeTicket(msgspec.Struct, rename="camel"):
    """A ticket for one request, sent as `?ticket=` within `expiresInSeconds`. One that opens a tail is also valid for
    the tail's reconnects."""

    ticket: str
    expires_in_seconds: int


def routes(services: Services) -> list[Route]:
    async def make(request: Request) -> Response:
        made = MadeTicket(services.tickets.make(request.principal), TICKET_SECONDS)
        # A second reader of a cached ticket would find it used, or use it first.
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
