"""Consumer groups: shows them, commits their offsets, deletes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec

from forebay import errors
from forebay.server.api.streams.consume import NO_GROUPS
from forebay.server.api.streams.streams import MAX_OFFSET, MAX_PARTITION, rfc3339, rfc3339_now
from forebay.server.http.body import decode
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay._forebay import GroupDescription
    from forebay.server.http.request import Request
    from forebay.server.services import Services

MAX_OFFSETS = 1024
"""The most offsets of one commit; the engine enforces it."""

MAX_COMMIT_BYTES = 512 << 10
"""The longest body: a commit of `MAX_OFFSETS` offsets with the longest names."""

COMMIT_SECONDS = 30.0
"""Ends the wait for a disk that hangs."""


class CommittedOffset(msgspec.Struct, forbid_unknown_fields=True):
    """The next offset to read of one partition."""

    stream: str
    # The bounds are in the schema only, since values out of range have errors of their own.
    partition: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 0, "maximum": MAX_PARTITION})]
    offset: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 0, "maximum": MAX_OFFSET})]


class CommitRequest(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Offsets to commit, all or none. While the group has members, `memberId` is required and has to hold the
    partitions; `force` lets offsets move back."""

    offsets: Annotated[list[CommittedOffset], msgspec.Meta(extra_json_schema={"minItems": 1, "maxItems": MAX_OFFSETS})]
    member_id: str | None = None
    force: bool = False


class CommitAnswer(msgspec.Struct, rename="camel"):
    """The offsets that are durable now."""

    status: str
    committed_offsets: list[CommittedOffset]


class GroupMember(msgspec.Struct, rename="camel"):
    """A member's lease on partitions of one stream, and how many milliseconds of it are left."""

    member_id: str
    stream: str
    partitions: list[int]
    lease_ms: int


class GroupOffset(msgspec.Struct, rename="camel"):
    """The next offset of one partition: the committed one, or the one where the group began to read. `lag` is its
    distance from the end of the partition."""

    stream: str
    partition: int
    offset: int
    end_offset: int
    lag: int
    committed: bool


class ConsumerGroup(msgspec.Struct, rename="camel"):
    """A group: its members, its offsets, and the sum of their lags."""

    consumer_group: str
    created_at: str
    last_used_at: str
    lag: int
    members: list[GroupMember]
    offsets: list[GroupOffset]


class ConsumerGroupRow(msgspec.Struct, rename="camel"):
    """A group with the number of its members and the streams that it reads."""

    consumer_group: str
    created_at: str
    last_used_at: str
    lag: int
    members: int
    streams: list[str]


class ConsumerGroupList(msgspec.Struct):
    """Every group, by name."""

    consumers: list[ConsumerGroupRow]


class DeletedGroup(msgspec.Struct, rename="camel"):
    """The group and its offsets are deleted."""

    status: str
    consumer_group: str
    deleted_at: str


class LeftGroup(msgspec.Struct, rename="camel"):
    """The member gave its leases back."""

    status: str
    consumer_group: str
    member_id: str


def describe(group: GroupDescription) -> ConsumerGroup:
    """A group as JSON shows it."""
    return ConsumerGroup(
        group.name,
        rfc3339(group.created_us),
        rfc3339(group.used_us),
        group.lag,
        [GroupMember(member, stream, partitions, left) for stream, member, partitions, left in group.members],
        sorted(
            [*_offsets_of(group.offsets, True), *_offsets_of(group.begun, False)],
            key=lambda row: (row.stream, row.partition),
        ),
    )


def _offsets_of(rows: list[tuple[str, int, int, int]], committed: bool) -> list[GroupOffset]:
    return [
        GroupOffset(stream, partition, offset, end, max(0, end - offset), committed)
        for stream, partition, offset, end in rows
    ]


def _row(group: GroupDescription) -> ConsumerGroupRow:
    return ConsumerGroupRow(
        group.name,
        rfc3339(group.created_us),
        rfc3339(group.used_us),
        group.lag,
        len({member for _, member, _, _ in group.members}),
        sorted({row[0] for row in (*group.offsets, *group.begun, *group.members)}),
    )


def _offsets(body: bytes) -> tuple[CommitRequest, list[tuple[str, int, int]]]:
    try:
        request = decode(body, CommitRequest)
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


def routes(services: Services) -> list[Route]:
    return [*_commit_routes(services), *_group_routes(services)]


def _commit_routes(services: Services) -> list[Route]:
    async def commit(request: Request) -> Response:
        request.principal.check_all_projects(NO_GROUPS)
        wanted, offsets = _offsets(await request.body())
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await services.blocking(
                    services.engine.commit_offsets,
                    request.bound["group"],
                    offsets,
                    wanted.member_id,
                    wanted.force,
                    done,
                )
                await done
        except TimeoutError:
            raise errors.Timeout(
                f"the commit was not durable within {COMMIT_SECONDS:g} seconds; commit again, it is the same then"
            ) from None
        return json_response(200, CommitAnswer("committed", wanted.offsets))

    async def leave(request: Request) -> Response:
        request.principal.check_all_projects(NO_GROUPS)
        group, member = request.bound["group"], request.bound["memberId"]
        await services.blocking(services.engine.leave_group, group, member)
        services.polls.rebalanced(group)
        return json_response(200, LeftGroup("left", group, member))

    return [
        Route(
            "POST",
            "/api/v1/consumers/{group}/commit",
            commit,
            Role.READ,
            body_limit=MAX_COMMIT_BYTES,
            summary="Commits offsets of a group, all or none.",
            shape=CommitRequest,
            responses={200: ResponseSpec(CommitAnswer, "The offsets are durable.")},
            errors=(
                errors.ConsumerGroupNotFound,
                errors.StreamNotFound,
                errors.InvalidOffset,
                errors.FencedMember,
            ),
        ),
        Route(
            "DELETE",
            "/api/v1/consumers/{group}/members/{memberId}",
            leave,
            Role.READ,
            summary="Gives a member's leases back at once.",
            responses={200: ResponseSpec(LeftGroup, "Its partitions go to the others.")},
            errors=(errors.ConsumerGroupNotFound,),
        ),
    ]


def _group_routes(services: Services) -> list[Route]:
    async def listing(request: Request) -> Response:
        request.principal.check_all_projects(NO_GROUPS)
        groups = await services.blocking(services.engine.groups)
        return json_response(200, ConsumerGroupList([_row(group) for group in groups]))

    async def one(request: Request) -> Response:
        request.principal.check_all_projects(NO_GROUPS)
        return json_response(200, describe(await services.blocking(services.engine.group, request.bound["group"])))

    async def delete(request: Request) -> Response:
        request.principal.check_all_projects(NO_GROUPS)
        group = request.bound["group"]
        await services.blocking(services.engine.delete_group, group)
        services.polls.rebalanced(group)
        deleted = rfc3339_now()
        return json_response(200, DeletedGroup("deleted", group, deleted))

    return [
        Route(
            "GET",
            "/api/v1/consumers",
            listing,
            Role.READ,
            summary="Every consumer group.",
            responses={200: ResponseSpec(ConsumerGroupList, "All of them.")},
        ),
        Route(
            "GET",
            "/api/v1/consumers/{group}",
            one,
            Role.READ,
            summary="One consumer group with its members and committed offsets.",
            responses={200: ResponseSpec(ConsumerGroup, "It.")},
            errors=(errors.ConsumerGroupNotFound,),
        ),
        Route(
            "DELETE",
            "/api/v1/consumers/{group}",
            delete,
            Role.OPS,
            summary="Deletes a consumer group and its committed offsets.",
            responses={200: ResponseSpec(DeletedGroup, "It is gone.")},
            errors=(errors.ConsumerGroupNotFound, errors.StorageUnavailable),
        ),
    ]
