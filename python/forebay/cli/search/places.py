"""Where a search looks: in a running server, or in a stopped one's directory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Protocol, TypeVar
from urllib.parse import urlencode

import msgspec

from forebay.cli.api import Api
from forebay.cli.commands.source import opened
from forebay.cli.search.times import rfc3339
from forebay.embedded.conditions import MAX_PAGE, Condition, Conditions, CountBy
from forebay.embedded.found import LogEntry
from forebay.embedded.log import Log
from forebay.embedded.search import Search
from forebay.embedded.whole import newest_first
from forebay.errors import Saturated
from forebay.server.api.platform.follow import FollowAnswer, FollowedLogs
from forebay.server.api.platform.logs import PATH, LogsAnswer, LogStatsAnswer

TRIES = 10
"""A server that has no room for a search now is asked again so often, a second apart."""

A = TypeVar("A", LogsAnswer, LogStatsAnswer, FollowAnswer)

Groups = list[tuple[str, int]]
"""Values, or beginnings of intervals, each with its number of events."""


class Place(Protocol):
    def pages(self, conditions: Conditions, limit: int | None) -> Iterator[list[LogEntry]]:
        """What is found, the newest first; each page is asked for when it is wanted."""

    def counts(self, conditions: Conditions, by: CountBy) -> tuple[Groups, int, int]:
        """Counts by something, those beyond them, and all."""


class Server:
    """A running server."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def pages(self, conditions: Conditions, limit: int | None) -> Iterator[list[LogEntry]]:
        left, cursor = limit, None
        while left is None or left > 0:
            more = {"count": "false", "limit": str(MAX_PAGE if left is None else min(left, MAX_PAGE))}
            if cursor is not None:
                more["cursor"] = cursor
            found = self._asked("", conditions, more, LogsAnswer).data
            yield found.logs
            cursor, left = found.pagination.next_cursor, None if left is None else left - len(found.logs)
            if cursor is None:
                return

    def counts(self, conditions: Conditions, by: CountBy) -> tuple[Groups, int, int]:
        found = self._asked("/stats", conditions, {"by": by}, LogStatsAnswer).data
        groups = [(group.value, group.count) for group in found.groups or ()]
        intervals = [(interval.start, interval.count) for interval in found.intervals or ()]
        return groups or intervals, found.other, found.total

    def follow(self, conditions: Conditions, position: str | None, milliseconds: int) -> FollowedLogs:
        """What has come since `position`, in the order in which it came, after waiting at most so long."""
        more = {"timeout": str(milliseconds)}
        if position is not None:
            more["position"] = position
        return self._asked("/follow", conditions, more, FollowAnswer).data

    def _asked(self, path: str, conditions: Conditions, more: dict[str, str], shape: type[A]) -> A:
        query = urlencode([*parameters(conditions), *more.items()])
        for left in reversed(range(TRIES)):
            try:
                return msgspec.json.decode(self._api.change("GET", f"{PATH}{path}?{query}"), type=shape)
            except Saturated as refused:
                if not left:
                    raise
                time.sleep(refused.retry_after or 1.0)
        raise AssertionError("the last try returns or raises")


class Directory:
    """The data directory of a server that is not running, opened read-only."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def pages(self, conditions: Conditions, limit: int | None) -> Iterator[list[LogEntry]]:
        if limit is None:
            # A page of a hundred looks at as much as thousands of them do.
            yield from newest_first(lambda: self._log._engine, conditions)
            return
        hits = iter(self._search(conditions, limit))
        while page := [hit.entry for hit in islice(hits, MAX_PAGE)]:
            yield page

    def counts(self, conditions: Conditions, by: CountBy) -> tuple[Groups, int, int]:
        found = self._search(conditions, None).stats(by)
        groups = [(_named(value), count) for value, count in found.groups.items()]
        return groups, found.other, found.total

    def _search(self, conditions: Conditions, limit: int | None) -> Search:
        return self._log.search(
            conditions.query,
            level=conditions.level,
            service=conditions.service,
            since=conditions.start_time,
            until=conditions.end_time,
            project_id=conditions.project_id,
            request_id=conditions.request_id,
            user_id=conditions.user_id,
            where=[f"{each.path}{each.operator}{each.value}" for each in conditions.metadata],
            limit=limit,
        )


@contextlib.contextmanager
def place(data_dir: str | None, url: str | None, token: str | None) -> Iterator[Server | Directory]:
    """The server at `url`, or, when that is None, the directory `data_dir`."""
    if url:
        with contextlib.closing(Api(url, token)) as api:
            yield Server(api)
        return
    with opened(data_dir) as log:
        yield Directory(log)


def parameters(conditions: Conditions) -> list[tuple[str, str]]:
    """The query parameters that ask a server for these conditions."""
    given = {
        "query": conditions.query or None,
        "level": conditions.level,
        "service": conditions.service,
        "project_id": conditions.project_id,
        "request_id": conditions.request_id,
        "user_id": conditions.user_id,
        "start_time": _written(conditions.start_time),
        "end_time": _written(conditions.end_time),
    }
    return [(name, value) for name, value in given.items() if value is not None] + [
        _parameter(each) for each in dict.fromkeys(conditions.metadata)
    ]


def _parameter(condition: Condition) -> tuple[str, str]:
    name = f"metadata.{condition.path}"
    if condition.operator == "=":
        return name, condition.value
    if condition.operator in (">", "<"):
        # Any `=` behind the sign would be a part of it.
        return f"{name}{condition.operator}{condition.value}", ""
    return f"{name}{condition.operator}", condition.value


def _written(micros: int | None) -> str | None:
    return None if micros is None else rfc3339(micros)


def _named(value: str | datetime) -> str:
    return value if isinstance(value, str) else value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
