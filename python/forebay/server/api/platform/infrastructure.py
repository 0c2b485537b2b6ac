"""How the server, what it depends on, and the addresses that mail is sent from stand. Both answers are from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.infrastructure.shapes import SendingAddress, ServiceHealth

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.services import Services

PATH = "/api/v1/platform/system/infrastructure"

NO_PROJECT = "and the infrastructure is that of all, so it does not see it"


class ServiceList(msgspec.Struct):
    """This server's own services first, then those of the configuration in its order."""

    services: list[ServiceHealth]


class ServicesAnswer(msgspec.Struct):
    """Every service, as of its last probe."""

    success: Literal[True]
    data: ServiceList


class AddressList(msgspec.Struct):
    """The addresses in the order of the configuration."""

    ips: list[SendingAddress]


class AddressesAnswer(msgspec.Struct):
    """Every address, as of the last look-ups."""

    success: Literal[True]
    data: AddressList


def routes(services: Services) -> list[Route]:
    async def health(request: Request) -> Response:
        request.principal.check_all_projects(NO_PROJECT)
        return json_response(200, ServicesAnswer(True, ServiceList(services.infrastructure.services())))

    async def reputation(request: Request) -> Response:
        request.principal.check_all_projects(NO_PROJECT)
        return json_response(200, AddressesAnswer(True, AddressList(services.reputation.addresses())))

    return [
        Route(
            "GET",
            f"{PATH}/health",
            health,
            Role.OPS,
            summary="How the server and each of its dependencies stand.",
            responses={200: ResponseSpec(ServicesAnswer, "The services.")},
        ),
        Route(
            "GET",
            f"{PATH}/ip-reputation",
            reputation,
            Role.OPS,
            summary="Block lists, volume and score of the addresses that mail is sent from.",
            responses={200: ResponseSpec(AddressesAnswer, "The addresses.")},
        ),
    ]
