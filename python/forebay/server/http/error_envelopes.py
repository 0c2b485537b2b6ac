"""Refusals in the envelope of the API family that was asked: the front's, which has the one table of them."""

import enum
from typing import Literal

import msgspec

from forebay import _forebay, errors
from forebay.errors import ForebayError
from forebay.server.http.response import Response


class Family(enum.Enum):
    """Routes that share an error envelope."""

    DRAIN = "drain"
    ANALYTICS = "analytics"
    EVENTS = "events"
    STREAMS = "streams"
    PLATFORM = "platform"


def family_of(path: str) -> Family:
    """The family with the longest prefix of `path`; the drain's when none has."""
    return Family(_forebay.family_of(path))


class DrainError(msgspec.Struct, frozen=True):
    """A refusal of the drain or of analytics, and of whatever belongs to no other family."""

    error: str
    code: str


class EventsError(msgspec.Struct, frozen=True):
    """A refusal of the events API."""

    success: Literal[False]
    error: str


class StreamsProblem(msgspec.Struct, frozen=True):
    """What went wrong: the row of the error table, and what exactly."""

    code: int
    message: str
    description: str
    detail: str


class StreamsError(msgspec.Struct, frozen=True):
    """A refusal of the streams, consumers and processors APIs."""

    error: StreamsProblem


class PlatformProblem(msgspec.Struct, frozen=True):
    """What went wrong, by name."""

    code: str
    message: str


class PlatformError(msgspec.Struct, frozen=True):
    """A refusal of the platform API."""

    success: Literal[False]
    error: PlatformProblem


ENVELOPES: dict[Family, type[msgspec.Struct]] = {
    Family.DRAIN: DrainError,
    Family.ANALYTICS: DrainError,
    Family.EVENTS: EventsError,
    Family.STREAMS: StreamsError,
    Family.PLATFORM: PlatformError,
}
"""The shape of each family's refusals, for the description: the engine's binding writes them."""


def status_of(family: Family, error: ForebayError | type[ForebayError]) -> int:
    """The status that a family answers a row of the error table with."""
    return _forebay.family_row(family.value, error.number)[0]


def error_name(family: Family, kind: type[ForebayError]) -> str:
    """What a family calls a row of the error table."""
    return _forebay.family_row(family.value, kind.number)[1]


def render(family: Family, error: ForebayError, *, close: bool = False) -> Response:
    """The error as the family shows it. `close` ends the connection, when the rest of its body is not wanted."""
    status, headers, body = _forebay.refusal(family.value, error.number, error.detail, error.retry_after)
    if isinstance(error, errors.MethodNotAllowed):
        # RFC 9110, section 15.5.6 asks for it.
        headers.append(("allow", ", ".join(error.allowed)))
    if close:
        headers.append(("connection", "close"))
    return Response(status, body, headers)
