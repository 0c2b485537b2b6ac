"""Error responses in the envelope of an API family. The front renders them, from its one table."""

import enum
from typing import Literal

import msgspec

from forebay import _forebay, errors
from forebay.errors import ForebayError
from forebay.server.http.response import Response


class Family(enum.Enum):
    """An API family: routes that share an error envelope."""

    DRAIN = "drain"
    ANALYTICS = "analytics"
    EVENTS = "events"
    STREAMS = "streams"
    PLATFORM = "platform"


def family_of(path: str) -> Family:
    """The family with the longest matching prefix of `path`, or else the drain."""
    return Family(_forebay.family_of(path))


class DrainError(msgspec.Struct, frozen=True):
    """An error of every other route: the drain, analytics, `/metrics`, `/ws`, `/readyz` and the pages."""

    error: str
    code: str


class EventsError(msgspec.Struct, frozen=True):
    """An error of the routes below `/api`: events, health, metrics, load tests and the rest."""

    success: Literal[False]
    error: str


class StreamsProblem(msgspec.Struct, frozen=True):
    """An error: its row of the error table, and the details."""

    code: int
    message: str
    description: str
    detail: str


class StreamsError(msgspec.Struct, frozen=True):
    """An error of the routes below `/api/v1`: streams and consumers."""

    error: StreamsProblem


class PlatformProblem(msgspec.Struct, frozen=True):
    """An error by name."""

    code: str
    message: str


class PlatformError(msgspec.Struct, frozen=True):
    """An error of the platform API."""

    success: Literal[False]
    error: PlatformProblem


ENVELOPES: dict[Family, type[msgspec.Struct]] = {
    Family.DRAIN: DrainError,
    Family.ANALYTICS: DrainError,
    Family.EVENTS: EventsError,
    Family.STREAMS: StreamsError,
    Family.PLATFORM: PlatformError,
}
"""The envelope of each family, for OpenAPI. The binding renders the errors themselves."""


def status_of(family: Family, error: ForebayError | type[ForebayError]) -> int:
    """The status of a row of the error table in a family."""
    return _forebay.family_row(family.value, error.number)[0]


def error_name(family: Family, kind: type[ForebayError]) -> str:
    """The name of a row of the error table in a family."""
    return _forebay.family_row(family.value, kind.number)[1]


def render(family: Family, error: ForebayError, *, close: bool = False) -> Response:
    """The error as a response of the family. `close` ends the connection, for a request whose body was not read."""
    status, headers, body = _forebay.refusal(family.value, error.number, error.detail, error.retry_after)
    if isinstance(error, errors.MethodNotAllowed):
        # RFC 9110, section 15.5.6 requires the header.
        headers.append(("allow", ", ".join(error.allowed)))
    if close:
        headers.append(("connection", "close"))
    return Response(status, body, headers)
