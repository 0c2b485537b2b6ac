"""Consuming a stream as a group, with long polls."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from forebay import errors
from forebay.api.streams import MAX_OFFSET, MAX_PARTITION
from forebay.http.request import shown
from forebay.http.response import Response
from forebay.http.router import Role, Route

if TYPE_CHECKING:
    from forebay._forebay import Consumed
    from forebay.app import App
    from forebay.http.auth import Grant
    from forebay.http.request import Request
    from forebay.http.rsgi import HttpProtocol

MAX_LIMIT = 10_000
"""Records of one answer, which is held whole in memory."""

MAX_TIMEOUT_MS = 30_000
"""How long a poll may wait: less than what proxies between commonly allow."""

PARAMETERS = frozenset(
    {"consumerGroup", "offset", "limit", "timeout", "partition", "memberId", "autoCommit", "onReset"}
)


class Call(NamedTuple):
    """One call's parameters, as the engine takes them."""

    group: str
    member: str | None
    partition: int | None
    offset: str | int | None
    limit: int
    on_reset: str
    auto_commit: bool
    seconds: float


def routes(app: App) -> list[Route]:
    async def events(request: Request) -> Response:
        refuse_projects(request.grant)
        return await _poll(app, request.bound["name"], _call(request), request.protocol)

    return [Route("GET", "/api/v1/streams/{name}/events", events, Role.READ, parameters=PARAMETERS)]


async def _poll(app: App, stream: str, call: Call, protocol: HttpProtocol) -> Response:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + call.seconds
    resume: list[tuple[int, int]] = []
    gone: asyncio.Future[None] | None = None
    try:
        while True:
            consumed = await _consume(app, stream, call, resume, max(0.0, deadline - loop.time()))
            if consumed.rebalanced:
                app.polls.rebalanced(call.group, stream)
            left = deadline - loop.time()
            if consumed.count or left <= 0 or app.stopping.is_set():
                return Response(200, consumed.body)
            gone = gone or asyncio.ensure_future(protocol.client_disconnect())
            resume = consumed.positions
            until = left if consumed.recheck_ms is None else min(left, consumed.recheck_ms / 1000)
            group = call.group if call.member is not None else None
            await app.polls.wait(stream, resume, until, group=group, gone=gone)
            if gone.done():
                # Nobody reads the answer: what it held must not be committed as read.
                return Response(200, consumed.body)
    finally:
        if gone is not None:
            gone.cancel()


async def _consume(app: App, stream: str, call: Call, resume: list[tuple[int, int]], seconds: float) -> Consumed:
    return await app.blocking(
        partial(
            app.engine.consume,
            call.group,
            stream,
            member=call.member,
            partition=call.partition,
            offset=call.offset,
            limit=call.limit,
            on_reset=call.on_reset,
            auto_commit=call.auto_commit,
            resume=resume,
            hold_ms=int(seconds * 1000),
        )
    )


def refuse_projects(grant: Grant) -> None:
    """Groups belong to no project, and neither do their positions.

    Raises:
        Forbidden: the token is limited to projects.
    """
    if grant.projects is not None:
        raise errors.Forbidden(
            f"the token {grant.name!r} is limited to projects, which consumer groups know nothing of"
        )


def _call(request: Request) -> Call:
    group = request.query.get("consumerGroup")
    if group is None:
        raise errors.InvalidRequest("the query parameter consumerGroup is missing")
    query = request.query
    return Call(
        group=group,
        member=query.get("memberId"),
        partition=request.integer("partition", 0, 0, MAX_PARTITION) if "partition" in query else None,
        offset=_offset(query.get("offset")),
        limit=request.integer("limit", 100, 1, MAX_LIMIT),
        on_reset=_one_of("onReset", query.get("onReset", "error"), ("error", "earliest", "latest")),
        auto_commit=_one_of("autoCommit", query.get("autoCommit", "false"), ("false", "true")) == "true",
        seconds=request.integer("timeout", 1000, 0, MAX_TIMEOUT_MS) / 1000,
    )


def _offset(text: str | None) -> str | int | None:
    if text is None or text in ("earliest", "latest"):
        return text
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_OFFSET)) and int(text) <= MAX_OFFSET:
        return int(text)
    raise errors.InvalidOffset(
        f"offset is {shown(text)}; it may be 'earliest', 'latest' or a whole number from 0 to {MAX_OFFSET}"
    )


def _one_of(name: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise errors.InvalidRequest(f"{name} is {shown(text)}; it may be {' or '.join(allowed)}")
    return text
