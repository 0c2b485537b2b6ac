"""Consuming a stream as a group, with long polls."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from forebay import errors
from forebay._forebay import Filter
from forebay.server.api.streams.streams import MAX_NAME, MAX_OFFSET, MAX_PARTITION, NAME_CHARACTER
from forebay.server.api.streams.tail import MAX_EXPRESSION
from forebay.server.http.parameters import REQUIRED, Parameters, choice, flag, text, whole
from forebay.server.http.response import Response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay._forebay import Consumed
    from forebay.server.http.request import Request
    from forebay.server.services import Services

MAX_LIMIT = 10_000
"""The most records of one answer, which is held in memory as a whole."""

MAX_ANSWER_BYTES = 8 << 20
"""The largest answer of the engine (its `MAX_ANSWER_BYTES`), unless a single record is larger."""

MAX_TIMEOUT_MS = 30_000
"""The longest wait of a poll: less than proxies commonly allow."""

NO_GROUPS = "which consumer groups know nothing of"
"""The reason why tokens that are limited to projects cannot use groups: groups belong to no project."""

GROUP_NAME = rf"(?!\.\.?$){NAME_CHARACTER}+"
VISIBLE = "[!-~]+"

GROUP = text("consumerGroup", REQUIRED, "The group; its first call creates it.", high=MAX_NAME, pattern=GROUP_NAME)
OFFSET = whole(
    "offset",
    None,
    0,
    MAX_OFFSET,
    "Where to begin; the group's committed position when it is not given, `earliest` in a new group. A number needs "
    "`partition` when the stream has several.",
    words=("earliest", "latest"),
    error=errors.InvalidOffset,
)
LIMIT = whole("limit", 100, 1, MAX_LIMIT, "The most events of one answer. An answer also ends at 8 MiB.")
TIMEOUT = whole("timeout", 1000, 0, MAX_TIMEOUT_MS, "Milliseconds to wait when there is no event.")
PARTITION = whole("partition", None, 0, MAX_PARTITION, "Only this partition; by default all partitions of the reader.")
MEMBER = text(
    "memberId",
    None,
    "Shares the stream's partitions with the group's other members, until 30 s after its last call. Without it, all "
    "partitions are read, and nothing can be committed while members hold the group.",
    high=128,
    pattern=VISIBLE,
)
AUTO_COMMIT = flag(
    "autoCommit", False, "Commits the returned events before it returns them. The committed offset never moves back."
)
ON_RESET = choice("onReset", "error", ("error", "earliest", "latest"), "What to do when the position has been deleted.")
FILTER = text(
    "filter",
    None,
    "A predicate in CEL over `value`, `key`, `headers`, `partition`, `offset` and `timestamp` (milliseconds since 1970 "
    "UTC): `value.amount > 1000`. Only events that it is true for are returned; offsets move past the others.",
    high=MAX_EXPRESSION,
)

Count = Annotated[int, msgspec.Meta(ge=0)]


class ConsumedEvent(msgspec.Struct, rename="camel", omit_defaults=True):
    """One event. `timestamp` is RFC 3339 in UTC with milliseconds, `value` any JSON."""

    event_id: str
    partition: Count
    offset: Count
    timestamp: str
    key: str | None
    value: Any
    headers: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class LostRecords(msgspec.Struct, rename={"start": "from"}):
    """Damaged records that were left out: the offset of the first, and the offset after the last."""

    partition: Count
    start: Count
    to: Count


class ConsumedPositions(msgspec.Struct, rename="camel", omit_defaults=True):
    """The next positions to read. `nextOffset` belongs to the partition of the last event; `nextOffsets` and `lags`
    have every partition of the reader. A lag is the number of records from the next offset on. `recordsLost` counts
    offsets before the next ones whose record is damaged, or lost or never there since a repair, and `gaps` names them.
    `unreadable` has the partitions whose next record cannot be read now, with the reason; their next offsets stay
    before that record."""

    consumer_group: str
    lag: Count
    next_offset: Count
    next_offsets: dict[str, Count]
    lags: dict[str, Count]
    records_lost: Count
    gaps: list[LostRecords] | msgspec.UnsetType = msgspec.UNSET
    unreadable: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class ConsumedEvents(msgspec.Struct):
    """Events in the order of their offsets within each partition."""

    events: list[ConsumedEvent]
    metadata: ConsumedPositions


class Call(NamedTuple):
    """The parameters of one call, as the engine takes them."""

    group: str
    member: str | None
    partition: int | None
    offset: str | int | None
    limit: int
    on_reset: str
    filter: Filter | None
    auto_commit: bool
    seconds: float


def routes(services: Services) -> list[Route]:
    async def events(request: Request) -> Response:
        request.principal.check_all_projects(NO_GROUPS)
        expression = request.value(FILTER)
        chosen = None if expression is None else await services.blocking(Filter, expression)
        return await _poll(services, request, _call(request, chosen))

    return [
        Route(
            "GET",
            "/api/v1/streams/{name}/events",
            events,
            Role.READ,
            parameters=Parameters(GROUP, OFFSET, LIMIT, TIMEOUT, PARTITION, MEMBER, AUTO_COMMIT, ON_RESET, FILTER),
            summary="The next events for a consumer group; waits when there are none.",
            responses={200: ResponseSpec(ConsumedEvents, "The events; none if nothing came in time.")},
            errors=(
                errors.StreamNotFound,
                errors.InvalidOffset,
                errors.FencedMember,
                errors.Saturated,
                errors.StorageUnavailable,
            ),
        )
    ]


async def _poll(services: Services, request: Request, call: Call) -> Response:
    """Waits for events as long as the client is there and its token is valid."""
    revoked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with services.sessions.held(request.principal, revoked.cancel):
        return await _wait(services, request, call, revoked)


async def _wait(services: Services, request: Request, call: Call, revoked: asyncio.Future[None]) -> Response:
    loop, stream = asyncio.get_running_loop(), request.bound["name"]
    deadline = loop.time() + call.seconds
    resume: list[tuple[int, int]] = []
    gaps: list[tuple[int, int, int]] = []
    gone: asyncio.Future[None] | None = None
    try:
        while True:
            services.sessions.check(request.principal, Role.READ)
            room = await services.deliveries.room(request.principal.digest, MAX_ANSWER_BYTES)
            try:
                consumed = await _consume(services, stream, call, resume, gaps, max(0.0, deadline - loop.time()))
            except BaseException:
                room.release()
                raise
            room.shrink(len(consumed.body))
            if consumed.rebalanced:
                services.polls.rebalanced(call.group, stream)
            left = deadline - loop.time()
            if consumed.count or left <= 0 or services.stopping.is_set():
                return Response(200, consumed.body, room=room)
            room.release()
            gone = gone or asyncio.ensure_future(request.protocol.client_disconnect())
            resume, gaps = consumed.positions, consumed.gaps
            until = left if consumed.recheck_ms is None else min(left, consumed.recheck_ms / 1000)
            group = call.group if call.member is not None else None
            await services.polls.wait(stream, resume, until, group=group, ends=(gone, revoked))
            if gone.done():
                # Nobody reads the answer, so its events must not be committed as read.
                return Response(200, consumed.body)
    finally:
        if gone is not None:
            gone.cancel()


async def _consume(
    services: Services,
    stream: str,
    call: Call,
    resume: list[tuple[int, int]],
    gaps: list[tuple[int, int, int]],
    seconds: float,
) -> Consumed:
    return await services.blocking(
        partial(
            services.engine.consume,
            call.group,
            stream,
            member=call.member,
            partition=call.partition,
            offset=call.offset,
            limit=call.limit,
            on_reset=call.on_reset,
            filter=call.filter,
            auto_commit=call.auto_commit,
            resume=resume,
            gaps=gaps,
            hold_ms=int(seconds * 1000),
        )
    )


def _call(request: Request, chosen: Filter | None) -> Call:
    return Call(
        group=request.value(GROUP),
        member=request.value(MEMBER),
        partition=request.value(PARTITION),
        offset=request.value(OFFSET),
        limit=request.value(LIMIT),
        on_reset=request.value(ON_RESET),
        filter=chosen,
        auto_commit=request.value(AUTO_COMMIT),
        seconds=request.value(TIMEOUT) / 1000,
    )
