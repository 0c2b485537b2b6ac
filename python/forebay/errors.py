"""The exceptions of forebay. Number, name, status and `retryable` come from the engine's error table."""

from collections.abc import Sequence
from typing import ClassVar

from forebay._forebay import error_table

_ROWS = {number: (name, http_status, retryable) for number, name, http_status, retryable in error_table()}


class ConfigError(Exception):
    """A setting is unknown, ill-typed or out of range; the message names it and where it was set."""


class ForebayError(Exception):
    """A failure: a row of the error table with the details of what went wrong, where, and what to do.

    Attributes:
        number: the row's number, which never changes.
        name: the row's name in snake case, as the drain API's `code`.
        http_status: the HTTP status of the response.
        retryable: whether the same call may succeed later.
        detail: one lowercase sentence.
        retry_after: seconds after which a retry may succeed, if known.
    """

    number: ClassVar[int]
    name: ClassVar[str]
    http_status: ClassVar[int]
    retryable: ClassVar[bool]

    def __init_subclass__(cls) -> None:
        cls.name, cls.http_status, cls.retryable = _ROWS[cls.number]
        _CLASSES[cls.number] = cls

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after: float | None = None


_CLASSES: dict[int, type[ForebayError]] = {}


class StreamNotFound(ForebayError):
    """The named stream does not exist."""

    number = 1001


class InvalidOffset(ForebayError):
    """The offset is outside of the partition's valid range."""

    number = 1002


class ConsumerGroupNotFound(ForebayError):
    """The named consumer group does not exist."""

    number = 1003


class Malformed(ForebayError):
    """The body is not valid JSON, or an event in it is malformed."""

    number = 1004


class Saturated(ForebayError):
    """Bounded memory or a quota is used up; try again later."""

    number = 1005


class Timeout(ForebayError):
    """The operation did not finish in time; whether it took place is unknown."""

    number = 1006


class StreamAlreadyExists(ForebayError):
    """A stream of that name exists already."""

    number = 1007


class InvalidRequest(ForebayError):
    """A parameter is missing, unknown or out of range."""

    number = 1008


class Unauthorized(ForebayError):
    """The token is missing or unknown."""

    number = 1009


class Forbidden(ForebayError):
    """The token lacks the role or the project."""

    number = 1010


class PayloadTooLarge(ForebayError):
    """The body, or one record in it, is larger than the limit."""

    number = 1011


class FencedMember(ForebayError):
    """The group member lost its lease."""

    number = 1012


class IdempotencyMismatch(ForebayError):
    """The idempotency key was used with another body."""

    number = 1013


class StorageUnavailable(ForebayError):
    """The storage cannot be written or read now."""

    number = 1014


class Internal(ForebayError):
    """Internal error; details are in the server log."""

    number = 1015


class NotFound(ForebayError):
    """No such route or object."""

    number = 1016


class MethodNotAllowed(ForebayError):
    """The route exists, but not with that method.

    Attributes:
        allowed: the methods that it takes.
    """

    number = 1017

    def __init__(self, detail: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.allowed = tuple(allowed)


class UnsupportedEncoding(ForebayError):
    """The content encoding of the request is not supported."""

    number = 1018


class RequestTimeout(ForebayError):
    """The body did not arrive in time."""

    number = 1019


class DirectoryLocked(ForebayError):
    """The data directory belongs to another running process."""

    number = 1020


class Closed(ForebayError):
    """The engine is closed or closing."""

    number = 1021


class Conflict(ForebayError):
    """Another operation that excludes this one is in progress."""

    number = 1022


class StreamLimitReached(ForebayError):
    """The limit of streams or partitions is reached."""

    number = 1023


class ProcessorAlreadyExists(ForebayError):
    """A processor of that name exists already."""

    number = 1024


class ProcessorNotFound(ForebayError):
    """No processor has that id or name."""

    number = 1025


class JobNotFound(ForebayError):
    """No job has that id."""

    number = 1026


class JobConflict(ForebayError):
    """The status of the job does not allow that."""

    number = 1027


class QueueNotFound(ForebayError):
    """No queue of jobs has that name."""

    number = 1028


class LeaseLost(ForebayError):
    """The worker's lease of the job is gone."""

    number = 1029


def from_kind(number: int, detail: str, retry_after: float | None = None) -> ForebayError:
    """The exception for a row of the table. A row without a class gives `Internal`."""
    kind = _CLASSES.get(number)
    error = kind(detail) if kind else Internal(f"error {number} has no class: {detail}")
    error.retry_after = retry_after
    return error


def classes() -> dict[int, type[ForebayError]]:
    """Every exception by its number."""
    return dict(_CLASSES)
