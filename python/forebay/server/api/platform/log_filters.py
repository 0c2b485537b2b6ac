"""The parameters that say what log events are looked for. All routes of log search have them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from forebay.embedded.conditions import METADATA, Condition, Conditions, whole_millisecond
from forebay.embedded.times import written_time
from forebay.server.http.parameters import Parameter, text
from forebay.server.http.time_pattern import TIME

if TYPE_CHECKING:
    from forebay.server.http.request import Request

MAX_QUERY = 4096
"""The longest query, in characters: the engine's 16 KiB, whatever they are."""

MAX_VALUE = 1024
"""The longest value that is compared; the engine's limit is in bytes."""

_MILLISECONDS = re.compile("-?[0-9]{1,15}")


def _time(name: str, description: str) -> Parameter[int | None]:
    """A time, in microseconds since 1970 UTC."""

    def read(given: str) -> int | None:
        found = written_time(given)
        if found is None and _MILLISECONDS.fullmatch(given):
            found = int(given) * 1000
        return found

    schema = {"type": "string", "pattern": f"^(?:{TIME}|{_MILLISECONDS.pattern})$"}
    expected = "a time like 2025-12-04T12:15:30Z, or milliseconds since 1970 UTC"
    return Parameter(name, None, f"{description} {_TIMES}", read, expected, schema)


_TIMES = (
    "RFC 3339 or another form that events may have, UTC without a zone; or milliseconds since 1970 UTC, but eight "
    "digits are a date."
)

QUERY = text(
    "query",
    "",
    "Full text over the message and every value in the metadata, in any case: all of `words`, `begin*`, "
    '`"a phrase"`, `/regular expression/` have to be there, and none with a `-` before it.',
    low=0,
    high=MAX_QUERY,
)
LEVEL = text("level", None, "The level, in any case; `warn` and `warning` are one.", high=MAX_VALUE)
SERVICE = text("service", None, "The service, exactly.", high=MAX_VALUE)
START = _time("start_time", "The earliest time of an event.")
END = _time("end_time", "The latest time of an event; its millisecond is included.")
REQUEST_ID = text("request_id", None, "`metadata.request_id`, as text.", high=MAX_VALUE)
USER_ID = text("user_id", None, '`metadata.user_id`, as text: `123` finds `123` and `"123"`.', high=MAX_VALUE)
PROJECT_ID = text("project_id", None, "The project, exactly.", high=MAX_VALUE)
CONDITIONS: Parameter[tuple[Condition, ...]] = Parameter(
    "metadata",
    (),
    "Further parameters are conditions on values in the metadata, by the names on the way to them: "
    "`metadata.user.plan=free` compares texts, `metadata.status>=500`, `metadata.status<=599`, `metadata.ms>0.5` and "
    "`metadata.ms<10` compare numbers. `>` is `%3E` and `<` is `%3C` in an address: `metadata.status%3E=500`, "
    "`metadata.ms%3E0.5`. A program that encodes names and values gives the name `metadata.status>=` and the value "
    "`500`, or the name `metadata.ms>0.5` and an empty value. At most 16.",
    Condition.parse,
    "a condition",
    {},
    prefix=METADATA,
)

FILTERS = (QUERY, LEVEL, SERVICE, START, END, REQUEST_ID, USER_ID, PROJECT_ID, CONDITIONS)


def conditions_of(request: Request) -> Conditions:
    """What a request looks for, within the projects of its token.

    Raises:
        InvalidRequest: nothing can be what it asks for.
    """
    principal, end = request.principal, request.value(END)
    found = Conditions(
        query=request.value(QUERY),
        level=request.value(LEVEL),
        service=request.value(SERVICE),
        project_id=request.value(PROJECT_ID),
        projects=None if principal.projects is None else principal.project_names,
        start_time=request.value(START),
        end_time=None if end is None else whole_millisecond(end),
        request_id=request.value(REQUEST_ID),
        user_id=request.value(USER_ID),
        metadata=request.value(CONDITIONS),
    )
    found.check()
    return found


class Scan(msgspec.Struct):
    """What a search took: events and bytes that it read, and seconds. `records_lost` counts events that are damaged or
    lost where it read."""

    records: int
    bytes: int
    seconds: float
    records_lost: int
