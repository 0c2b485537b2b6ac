"""Searching the log, and counting what is found."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import msgspec
from msgspec import UNSET, UnsetType

from forebay import errors
from forebay.embedded.conditions import (
    MAX_BUCKETS,
    MAX_PAGE,
    MAX_RESULT_WINDOW,
    Conditions,
    CountBy,
    interval_for,
    page_request,
    stats_request,
    with_range,
)
from forebay.embedded.found import LogEntry, Page, Stats, TimeStats, ValueCount, checked, entry
from forebay.embedded.times import microseconds
from forebay.server.api.platform.log_filters import FILTERS, Scan, conditions_of
from forebay.server.api.streams.streams import rfc3339
from forebay.server.http.parameters import REQUIRED, Parameter, Parameters, choice, flag, text, whole
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.searches import SEARCH_SECONDS

if TYPE_CHECKING:
    from forebay._forebay import Engine, SearchCancel
    from forebay.server.http.request import Request
    from forebay.server.http.response import Response
    from forebay.server.services import Services

PATH = "/api/v1/platform/system/logs"

SEARCH_ERRORS = (errors.Saturated, errors.StorageUnavailable)

MAX_CURSOR = 128

LIMIT = whole("limit", 50, 1, MAX_PAGE, "The most events of an answer, which also ends at 16 MiB.")
OFFSET = whole("offset", 0, 0, MAX_RESULT_WINDOW - MAX_PAGE, "So many of the newest are left out. Not with `cursor`.")
CURSOR = text(
    "cursor",
    None,
    "`next_cursor` of an answer: the page behind it, whatever has come meanwhile, and however far.",
    high=MAX_CURSOR,
)
COUNT = flag(
    "count",
    True,
    "Counts all that is found. Without it the search ends as soon as it has the page, and `total` is null.",
)
BY = choice("by", REQUIRED, get_args(CountBy), "What events are counted by.")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MICROS = 1_000_000
_INTERVAL = re.compile("([1-9][0-9]{0,5})([smhd])")


def _read_interval(given: str) -> int | None:
    found = _INTERVAL.fullmatch(given)
    return int(found[1]) * _UNITS[found[2]] * _MICROS if found else None


INTERVAL: Parameter[int | None] = Parameter(
    "interval",
    None,
    f"With `by=time`: the length of intervals, at most {MAX_BUCKETS} of them, which begin at multiples of it; by "
    "default about a hundred. Without `end_time` the last one is now, without `start_time` the first a day before.",
    _read_interval,
    "a length of time like 10s, 5m, 1h or 1d",
    {"type": "string", "pattern": f"^(?:{_INTERVAL.pattern})$"},
)

YEARS_OF_RFC3339 = (microseconds(datetime(1, 1, 1, tzinfo=UTC)), microseconds(datetime.max.replace(tzinfo=UTC)))

Count = Annotated[int, msgspec.Meta(ge=0)]


class Pagination(msgspec.Struct):
    """The page. `total` is exact up to 100,000, as `total_is_exact` says, and null with `count=false`; `next_cursor` is
    null when nothing is left."""

    total: Count | None
    total_is_exact: bool
    limit: Count
    offset: Count
    next_cursor: str | None


class FoundLogs(msgspec.Struct):
    """Events of the log, the newest first: by their time, and where that is equal in the log's order."""

    logs: list[LogEntry]
    pagination: Pagination
    scanned: Scan


class LogsAnswer(msgspec.Struct):
    """What a search found."""

    success: Literal[True]
    data: FoundLogs


class Interval(msgspec.Struct):
    """How many events are in the interval that begins then."""

    start: str
    count: Count


class LogCounts(msgspec.Struct, omit_defaults=True):
    """Counts: values by their number, the largest first, and `other` events with further ones or none; or all
    intervals of the range. `total` is exact."""

    by: CountBy
    total: Count
    other: Count
    scanned: Scan
    groups: list[ValueCount] | UnsetType = UNSET
    intervals: list[Interval] | UnsetType = UNSET
    interval_seconds: Count | UnsetType = UNSET


class LogStatsAnswer(msgspec.Struct):
    """What was counted."""

    success: Literal[True]
    data: LogCounts


def scan_of(answer: Page | Stats | TimeStats) -> Scan:
    """What a search took, as answers tell it."""
    scanned = answer.scanned
    return Scan(scanned.records, scanned.bytes, round(scanned.seconds, 6), answer.records_lost)


def routes(services: Services) -> list[Route]:
    engine = services.engine

    async def search(request: Request) -> Response:
        conditions = conditions_of(request)
        return await services.searches.answer(request, partial(_search, engine, request, conditions))

    async def stats(request: Request) -> Response:
        conditions, by = conditions_of(request), cast(CountBy, request.value(BY))
        interval = request.value(INTERVAL)
        if by == "time":
            call = partial(_stats_by_time, engine, request, conditions, interval)
        elif interval is None:
            call = partial(_stats, engine, request, conditions, by)
        else:
            raise errors.InvalidRequest("interval goes with by=time")
        return await services.searches.answer(request, call)

    return [
        Route(
            "GET",
            PATH,
            search,
            Role.OPS,
            parameters=Parameters(*FILTERS, LIMIT, OFFSET, CURSOR, COUNT),
            summary="Finds events of the log by full text and fields, the newest first.",
            responses={200: ResponseSpec(LogsAnswer, "The page; with a token for projects, of their events alone.")},
            errors=SEARCH_ERRORS,
        ),
        Route(
            "GET",
            f"{PATH}/stats",
            stats,
            Role.OPS,
            parameters=Parameters(*FILTERS, BY, INTERVAL),
            summary="Counts the events that a search of the log would find.",
            responses={200: ResponseSpec(LogStatsAnswer, "The counts; with a token for projects, of their events.")},
            errors=SEARCH_ERRORS,
        ),
    ]


def _search(engine: Engine, request: Request, conditions: Conditions, cancel: SearchCancel) -> bytes:
    offset, limit = request.value(OFFSET), request.value(LIMIT)
    asked = page_request(
        conditions,
        SEARCH_SECONDS,
        limit=limit,
        offset=offset,
        cursor=request.value(CURSOR),
        count=request.value(COUNT),
    )
    page = msgspec.json.decode(engine.search(asked, request.principal.digest, cancel), type=Page)
    checked(page, page.total or len(page.hits))
    pagination = Pagination(page.total, page.total_is_exact, limit, offset, page.cursor)
    found = FoundLogs(list(map(entry, page.hits)), pagination, scan_of(page))
    return msgspec.json.encode(LogsAnswer(True, found))


def _stats(engine: Engine, request: Request, conditions: Conditions, by: CountBy, cancel: SearchCancel) -> bytes:
    asked = stats_request(conditions, SEARCH_SECONDS, by)
    found = msgspec.json.decode(engine.search_stats(asked, request.principal.digest, cancel), type=Stats)
    checked(found, found.total)
    counts = LogCounts(by, found.total, found.other, scan_of(found), groups=found.groups)
    return msgspec.json.encode(LogStatsAnswer(True, counts))


def _stats_by_time(
    engine: Engine, request: Request, conditions: Conditions, given: int | None, cancel: SearchCancel
) -> bytes:
    conditions, start, end = with_range(conditions, time.time_ns() // 1000)
    interval = given or interval_for(start, end)
    if not YEARS_OF_RFC3339[0] <= start // interval * interval <= end <= YEARS_OF_RFC3339[1]:
        raise errors.InvalidRequest("start_time and end_time: must be of the years 1 to 9999 to count by time")
    asked = stats_request(conditions, SEARCH_SECONDS, "time", interval)
    found = msgspec.json.decode(engine.search_stats(asked, request.principal.digest, cancel), type=TimeStats)
    checked(found, found.total)
    every = found.every_interval(start, end, interval)
    counts = LogCounts(
        "time",
        found.total,
        found.other,
        scan_of(found),
        intervals=[Interval(rfc3339(begin), count) for begin, count in every],
        interval_seconds=interval // _MICROS,
    )
    return msgspec.json.encode(LogStatsAnswer(True, counts))
