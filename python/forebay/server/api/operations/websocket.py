"""`GET /ws`: the figures of `/api/metrics`, every second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay import errors
from forebay.server.http.parameters import Parameters
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.http.tickets import TICKET
from forebay.server.http.websocket import check_origin

if TYPE_CHECKING:
    from forebay.server.app import App
    from forebay.server.http.auth import Principal
    from forebay.server.http.request import Request
    from forebay.server.http.response import Response
    from forebay.server.http.rsgi import Scope, WebSocketProtocol

UPGRADED = (
    "A WebSocket (RFC 6455). It is sent a text message at once and every second: "
    '`{"type":"metrics","data":{…},"timestamp":ms}` with the answer of `GET /api/metrics` as `data`. What the client '
    "sends is ignored, beyond pings, which are answered; binary messages end the connection with 1003, long ones with "
    "1009. A client that takes nothing, or answers no ping, is cut off; 1001 says that the server stops, 1008, within "
    "two seconds, that the token was revoked or changed."
)


def routes(app: App) -> list[Route]:
    allowed = app.settings.origins()

    async def plain(_request: Request) -> Response:
        raise errors.InvalidRequest("this is a WebSocket: ask for an upgrade to it")

    async def upgrade(scope: Scope, protocol: WebSocketProtocol, principal: Principal) -> None:
        check_origin(scope.headers, allowed)
        await app.websockets.serve(scope, protocol, principal)

    return [
        Route(
            "GET",
            "/ws",
            plain,
            Role.READ,
            parameters=Parameters(TICKET),
            summary="The figures of `/api/metrics`, as they change (WebSocket).",
            responses={101: ResponseSpec(None, UPGRADED, media="")},
            errors=(errors.Saturated,),
            upgrade=upgrade,
        )
    ]
