"""Consumer groups: what they are, committing their offsets, and deleting them."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from forebay import errors
from forebay.api.consume import refuse_projects
from forebay.api.streams import MAX_OFFSET, MAX_PARTITION
from forebay.http.response import Response, json_response
from forebay.http.router import Role, Route

if TYPE_CHECKING:
    from forebay._forebay import GroupDescription
    from forebay.app import App
    from forebay.http.request import Request

MAX_COMMIT_BYTES = 512 << 10
"""A commit of as many offsets as the engine takes in one, with the longest names."""

COMMIT_SECONDS = 30.0
"""The engine answers every commit; this ends the wait when the disk does not."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CommittedOffset(msgspec.Struct, forbid_unknown_fields=True):
    """The next offset to read of one partition."""

    stream: str
    partition: int
    offset: int


class CommitRequest(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What `POST /consumers/{group}/commit` takes. `force` lets offsets move back."""

    offsets: list[CommittedOffset]
    member_id: str | None = None
    force: bool = False


def timestamp(microseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    moment = EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def describe(group: GroupDescription) -> dict[str, object]:
    """A group as JSON shows it: its members and their leases, its committed offsets, and how far it lags behind."""
    return {
        "consumerGroup": group.name,
        "createdAt": timestamp(group.created_us),
        "lastUsedAt": timestamp(group.used_us),
        "lag": _lag(group),
        "members": [
            {"memberId": member, "stream": stream, "partitions": partitions, "leaseMs": left}
            for stream, member, partitions, left in group.members
        ],
        "offsets": [
            {"stream": stream, "partition": partition, "offset": offset, "endOffset": end, "lag": max(0, end - offset)}
            for stream, partition, offset, end in group.offsets
        ],
    }


def _lag(group: GroupDescription) -> int:
    return sum(max(0, end - offset) for _, _, offset, end in group.offsets)


def _row(group: GroupDescription) -> dict[str, object]:
    return {
        "consumerGroup": group.name,
        "createdAt": timestamp(group.created_us),
        "lastUsedAt": timestamp(group.used_us),
        "lag": _lag(group),
        "members": len({member for _, member, _, _ in group.members}),
        "streams": sorted({row[0] for row in group.offsets} | {row[0] for row in group.members}),
    }


def _offsets(body: bytes) -> tuple[CommitRequest, list[tuple[str, int, int]]]:
    try:
        request = msgspec.json.decode(body, type=CommitRequest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.Malformed(f"the body is not a commit: {error}") from None
    rows = []
    for index, row in enumerate(request.offsets):
        if not 0 <= row.partition <= MAX_PARTITION:
            raise errors.InvalidRequest(
                f"offsets[{index}].partition is {row.partition}, which is not from 0 to {MAX_PARTITION}"
            )
        if not 0 <= row.offset <= MAX_OFFSET:
            raise errors.InvalidOffset(f"offsets[{index}].offset is {row.offset}, which is not from 0 to {MAX_OFFSET}")
        rows.append((row.stream, row.partition, row.offset))
    return request, rows


def routes(app: App) -> list[Route]:
    async def commit(request: Request) -> Response:
        refuse_projects(request.grant)
        wanted, offsets = _offsets(await request.body())
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await app.blocking(
                    app.engine.commit_offsets, request.bound["group"], offsets, wanted.member_id, wanted.force, done
                )
                await done
        except TimeoutError:
            raise errors.Timeout(
                f"the commit was not durable within {COMMIT_SECONDS:g} seconds; commit again, it is the same then"
            ) from None
        return json_response(200, {"status": "committed", "committedOffsets": wanted.offsets})

    async def listing(request: Request) -> Response:
        refuse_projects(request.grant)
        groups = await app.blocking(app.engine.groups)
        return json_response(200, {"consumers": [_row(group) for group in groups]})

    async def one(request: Request) -> Response:
        refuse_projects(request.grant)
        return json_response(200, describe(await app.blocking(app.engine.group, request.bound["group"])))

    async def delete(request: Request) -> Response:
        refuse_projects(request.grant)
        group = request.bound["group"]
        await app.blocking(app.engine.delete_group, group)
        app.polls.rebalanced(group)
        deleted = timestamp(time.time_ns() // 1000)
        return json_response(200, {"status": "deleted", "consumerGroup": group, "deletedAt": deleted})

    async def leave(request: Request) -> Response:
        refuse_projects(request.grant)
        group, member = request.bound["group"], request.bound["memberId"]
        await app.blocking(app.engine.leave_group, group, member)
        app.polls.rebalanced(group)
        return json_response(200, {"status": "left", "consumerGroup": group, "memberId": member})

    return [
        Route("POST", "/api/v1/consumers/{group}/commit", commit, Role.READ, body_limit=MAX_COMMIT_BYTES),
        Route("GET", "/api/v1/consumers", listing, Role.READ),
        Route("GET", "/api/v1/consumers/{group}", one, Role.READ),
        Route("DELETE", "/api/v1/consumers/{group}", delete, Role.OPS),
        Route("DELETE", "/api/v1/consumers/{group}/members/{memberId}", leave, Role.READ),
    ]
