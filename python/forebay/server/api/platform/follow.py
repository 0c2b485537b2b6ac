"""Following the log: what a search would find among the events that come, in the order in which they come."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from forebay import errors
from forebay.embedded.conditions import Conditions, Reading, walk_request
from forebay.embedded.found import FoundEvent, LogEntry, Step, entry
from forebay.server.api.platform.log_filters import FILTERS, conditions_of
from forebay.server.api.platform.logs import PATH, SEARCH_ERRORS
from forebay.server.api.streams.streams import LOGS
from forebay.server.broadcast.position import ID, MAX_ID_CHARACTERS, Position, parse, written
from forebay.server.http.parameters import Parameters, text, whole
from forebay.server.http.request import shown
from forebay.server.http.response import Response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.searches import SEARCH_SECONDS

if TYPE_CHECKING:
    from forebay._forebay import SearchCancel
    from forebay.server.http.request import Request
    from forebay.server.services import Services

MAX_STEP_BYTES = 128 << 10
"""The events of one answer end here, with one that is larger at most."""

MAX_TIMEOUT_MS = 30_000
"""The longest wait: less than proxies commonly allow."""

PAUSE_SECONDS = 0.1
"""Between two looks at what has come. Where much comes and little of it matches, each look finds more to read."""

POSITION = text(
    "position",
    None,
    "`position` of the answer before. Without it, the answer is the position behind everything that there is, at once.",
    high=MAX_ID_CHARACTERS,
    pattern=ID,
)
TIMEOUT = whole("timeout", 1000, 0, MAX_TIMEOUT_MS, "Milliseconds to wait when nothing is found.")


class FollowedLogs(msgspec.Struct):
    """Events in the order of the log, and where to go on. `expired` counts events that were deleted before they could
    be read, whether they would have matched or not."""

    logs: list[LogEntry]
    position: str
    expired: Annotated[int, msgspec.Meta(ge=0)]


class FollowAnswer(msgspec.Struct):
    """What has come."""

    success: Literal[True]
    data: FollowedLogs


def routes(services: Services) -> list[Route]:
    async def follow(request: Request) -> Response:
        conditions, given = conditions_of(request), request.value(POSITION)
        now = services.engine.position(LOGS, False)
        if given is None:
            return _answer([], now, 0)
        position = parse(given, POSITION.name)
        stream, offsets = position
        is_known = stream == now[0] and len(offsets) == len(now[1])
        if not is_known or any(here > end for here, end in zip(offsets, now[1], strict=True)):
            raise errors.InvalidOffset(f"position is {shown(given)}, which this log has not given; ask without one")
        return await _follow(services, request, conditions, position)

    return [
        Route(
            "GET",
            f"{PATH}/follow",
            follow,
            Role.OPS,
            parameters=Parameters(*FILTERS, POSITION, TIMEOUT),
            summary="Events that have come since a position, and that a search would find; waits when there are none.",
            responses={200: ResponseSpec(FollowAnswer, "The events; none if nothing came in time.")},
            errors=(*SEARCH_ERRORS, errors.InvalidOffset),
        )
    ]


async def _follow(services: Services, request: Request, conditions: Conditions, position: Position) -> Response:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + request.value(TIMEOUT) / 1000
    expired = 0
    with services.searches.attended(request) as ends:
        while True:
            end = services.engine.position(LOGS, False)[1]
            logs: list[LogEntry] = []
            if any(here < there for here, there in zip(position[1], end, strict=True)):
                reading = Reading(position[0], position[1], end)
                step = partial(_step, services, request, conditions, reading)
                logs, reached = await services.searches.run(request, step, ends)
                position, expired = (position[0], reached.position.next), expired + reached.expired
            left = deadline - loop.time()
            if logs or left <= 0 or any(each.done() for each in ends):
                return _answer(logs, position, expired)
            if position[1] == end:
                # What comes now ends the wait at once, however short the time until then is.
                positions = list(enumerate(position[1]))
                await services.polls.wait(LOGS, positions, left, ends=ends)
                await asyncio.sleep(min(PAUSE_SECONDS, max(0.0, deadline - loop.time())))


def _step(
    services: Services, request: Request, conditions: Conditions, reading: Reading, cancel: SearchCancel
) -> tuple[list[LogEntry], Step]:
    asked = walk_request(conditions, SEARCH_SECONDS, reading, MAX_STEP_BYTES)
    lines, told = services.engine.search_export(asked, request.principal.digest, cancel)
    found = msgspec.json.Decoder(FoundEvent).decode_lines(lines)
    return list(map(entry, found)), msgspec.json.decode(told, type=Step)


def _answer(logs: list[LogEntry], position: Position, expired: int) -> Response:
    return Response(200, msgspec.json.encode(FollowAnswer(True, FollowedLogs(logs, written(position), expired))))
