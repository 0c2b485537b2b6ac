"""One error table, rendered in the envelope of the API family that was asked."""

import enum
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Literal

import msgspec

from forebay import errors
from forebay.errors import ForebayError
from forebay.http.response import JSON, Response

RETRY_AFTER_SECONDS = "1"
"""A saturated ring drains in well under a second; a full disk is tried again every second."""

_RETRY_STATUSES = frozenset({429, 503})

_PUBLISH_FAILED = "publish_failed"
"""What analytics calls a log that takes no writes; its status is 500."""

# The names and descriptions of the streams API where they differ from the engine's table.
_STREAMS_TEXT: dict[int, tuple[str, str]] = {
    1001: ("STREAM_NOT_FOUND", "The specified stream does not exist"),
    1002: ("INVALID_OFFSET", "The specified offset is invalid or out of range"),
    1003: ("CONSUMER_GROUP_NOT_FOUND", "The specified consumer group does not exist"),
    1004: ("SERIALIZATION_ERROR", "Failed to serialize/deserialize event data"),
    1005: ("QUOTA_EXCEEDED", "Request rate or throughput quota exceeded"),
    1006: ("TIMEOUT", "Operation timed out"),
    1007: ("STREAM_ALREADY_EXISTS", "A stream of that name exists already"),
    1008: ("INVALID_REQUEST", "A parameter is missing, unknown or out of range"),
    1009: ("UNAUTHORIZED", "The token is missing or unknown"),
    1010: ("FORBIDDEN", "The token lacks the role or the project"),
    1011: ("PAYLOAD_TOO_LARGE", "The body, or one record in it, is larger than the limit"),
    1012: ("FENCED_MEMBER", "The group member lost its lease"),
    1013: ("IDEMPOTENCY_MISMATCH", "The idempotency key was used with another body"),
    1014: ("STORAGE_UNAVAILABLE", "The storage is full, poisoned, damaged or opened read-only"),
    1015: ("INTERNAL", "The server failed"),
    1016: ("NOT_FOUND", "No such route or object"),
    1017: ("METHOD_NOT_ALLOWED", "The route exists, but not with that method"),
    1018: ("UNSUPPORTED_ENCODING", "The content encoding is not one that is accepted"),
    1019: ("REQUEST_TIMEOUT", "The body did not arrive in time"),
    1020: ("DIRECTORY_LOCKED", "The data directory belongs to another running process"),
    1021: ("CLOSED", "The server is shutting down"),
    1022: ("CONFLICT", "Another operation that excludes this one is under way"),
    1023: ("STREAM_LIMIT_REACHED", "There are as many streams or partitions as the limits allow"),
}


class Family(enum.Enum):
    """Routes that share an error envelope."""

    DRAIN = "drain"
    ANALYTICS = "analytics"
    EVENTS = "events"
    STREAMS = "streams"
    PLATFORM = "platform"


# Longest prefix first.
_PREFIXES = (
    ("/api/v1/platform", Family.PLATFORM),
    ("/v1/analytics", Family.ANALYTICS),
    ("/api/v1", Family.STREAMS),
    ("/api", Family.EVENTS),
)


def family_of(path: str) -> Family:
    """The family with the longest prefix of `path`; the drain's when none has."""
    for prefix, family in _PREFIXES:
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
            return family
    return Family.DRAIN


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


def _drain(error: ForebayError) -> DrainError:
    # A quota knows when there is room again, and says whose it is; the ring does not.
    full = isinstance(error, errors.Saturated) and error.retry_after is None
    return DrainError("server saturated" if full else error.detail, error.name)


def _analytics(error: ForebayError) -> DrainError:
    return DrainError(error.detail, _PUBLISH_FAILED) if _is_publish_failure(error) else _drain(error)


def _events(error: ForebayError) -> EventsError:
    return EventsError(False, error.detail)


def _streams(error: ForebayError) -> StreamsError:
    message, description = _STREAMS_TEXT[error.number]
    return StreamsError(StreamsProblem(error.number, message, description, error.detail))


def _platform(error: ForebayError) -> PlatformError:
    return PlatformError(False, PlatformProblem(error.name, error.detail))


ENVELOPES: dict[Family, type[msgspec.Struct]] = {
    Family.DRAIN: DrainError,
    Family.ANALYTICS: DrainError,
    Family.EVENTS: EventsError,
    Family.STREAMS: StreamsError,
    Family.PLATFORM: PlatformError,
}
"""The shape of each family's refusals."""

_RENDERERS: dict[Family, Callable[[ForebayError], msgspec.Struct]] = {
    Family.DRAIN: _drain,
    Family.ANALYTICS: _analytics,
    Family.EVENTS: _events,
    Family.STREAMS: _streams,
    Family.PLATFORM: _platform,
}


def _is_publish_failure(error: ForebayError | type[ForebayError]) -> bool:
    return error.number == errors.StorageUnavailable.number


def status_of(family: Family, error: ForebayError | type[ForebayError]) -> int:
    """The status that a family answers a row of the error table with."""
    publish_failed = family is Family.ANALYTICS and _is_publish_failure(error)
    return HTTPStatus.INTERNAL_SERVER_ERROR.value if publish_failed else error.http_status


def error_name(family: Family, kind: type[ForebayError]) -> str:
    """What a family calls a row of the error table."""
    if family is Family.ANALYTICS and _is_publish_failure(kind):
        return _PUBLISH_FAILED
    return f"{kind.number} {_STREAMS_TEXT[kind.number][0]}" if family is Family.STREAMS else kind.name


def _retry_after(error: ForebayError) -> str:
    # Whole seconds, as RFC 9110 has it, and rounded up: whoever waits for less would come too early.
    return RETRY_AFTER_SECONDS if error.retry_after is None else str(max(1, math.ceil(error.retry_after)))


def render(family: Family, error: ForebayError, *, close: bool = False) -> Response:
    """The error as the family shows it. `close` ends the connection, when the rest of its body is not wanted."""
    headers = [JSON]
    if error.http_status in _RETRY_STATUSES:
        headers.append(("retry-after", _retry_after(error)))
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        headers.append(("www-authenticate", "Bearer"))
    if isinstance(error, errors.MethodNotAllowed):
        # RFC 9110, section 15.5.6 asks for it.
        headers.append(("allow", ", ".join(error.allowed)))
    if close:
        headers.append(("connection", "close"))
    return Response(status_of(family, error), msgspec.json.encode(_RENDERERS[family](error)), headers)
