"""`GET /ws`: the metrics of `/api/metrics`, every second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay import errors
from forebay.server.http.parameters import Parameters
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.http.tickets import TICKET
from forebay.server.http.websocket import check_origin

if TYPE_CHECKING:
    from forebay.server.http.auth import Principal
    from forebay.server.http.request import Request
    from forebay.server.http.response import Response
    from forebay.server.http.rsgi import Scope, WebSocketProtocol
    from forebay.server.services import Services

UPGRADED = (
    "A WebSocket (RFC 6455). The server sends a text message at once and then every second: "
    '`{"type":"metrics","data":{…},"timestamp":ms}` with the answer of `GET /api/metrics` as `data`. What the client '
    "sends is ignored, beyond pings, which are answered; binary messages end the connection with 1003, long ones with "
    "1009. A client that reads nothing, or answers no ping, is disconnected. 1001 means that the server stops, 1008 "
    "that the token was revoked or changed (within two seconds)."
)


def routes(services: Services) -> list[Route]:
    allowed = services.settings.origins()

    async def plain(_request: Request) -> Response:
        raise errors.InvalidRequest("this is a WebSocket: ask for an upgrade to it")

    async def upgrade(scope: Scope, protocol: WebSocketProtocol, principal: Principal) -> None:
        check_origin(scope.headers, allowed)
        await services.websockets.serve(protocol, services.tunnel(scope), principal)

    return [
        Route(
            "GET",
            "/ws",
            plain,
            Role.READ,
            parameters=Parameters(TICKET),
            summary="The metrics of `/api/metrics`, every second (WebSocket).",
            responses={101: ResponseSpec(None, UPGRADED, media="")},
            errors=(errors.Saturated,),
            upgrade=upgrade,
        )
    ]
