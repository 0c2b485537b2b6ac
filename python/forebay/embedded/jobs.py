"""Durable jobs of an open log: enqueued, handed out with leases, ended, and what operators do with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from forebay.errors import InvalidRequest
from forebay.finite import has_non_finite

if TYPE_CHECKING:
    from forebay._forebay import Engine

JobStatus = Literal["active", "waiting", "failed", "completed"]
Priority = Literal["high", "normal", "low"]

DEFAULT_LEASE_SECONDS = 30.0
DEFAULT_PAGE = 50


class Enqueued(msgspec.Struct, frozen=True):
    """A job that was enqueued. `created` is False when another one with its unique key is waiting or active: this is
    that one then."""

    id: str = msgspec.field(name="job_id")
    queue: str
    status: JobStatus
    created: bool


class Lease(msgspec.Struct, frozen=True):
    """A job that the caller holds until `leased_until`. A job may be handed out more than once: `id` is the same each
    time, so that what it does can be done once.

    Attributes:
        attempts: how often it was handed out, this time included.
        progress: what the last heartbeat with a progress has told, of this attempt or one before.
        timeout_ms: how long the attempt may take; whoever runs it has to keep to that.
    """

    id: str
    queue: str
    lease: str
    payload: Any
    attempts: int
    retries: int
    leased_until: str
    timeout_ms: int
    progress: Any


class Job(msgspec.Struct, frozen=True):
    """A job as it is. Times are RFC 3339 in UTC; `available_at` is that of a waiting job, `leased_until` of an active
    one."""

    id: str
    queue: str
    priority: Priority
    status: JobStatus
    payload: Any
    error: Any
    result: Any
    progress: Any
    attempts: int
    retries: int
    timeout_ms: int
    unique_key: str | None
    cancel_requested: bool
    created_at: str
    updated_at: str
    available_at: str | None
    leased_until: str | None


class JobPage(msgspec.Struct, frozen=True):
    """A page of jobs; `total` counts all of them."""

    jobs: list[Job]
    total: int
    limit: int
    offset: int


class Queue(msgspec.Struct, frozen=True):
    """A queue with its counts. Delayed jobs are waiting."""

    name: str
    priority: Priority
    active_jobs: int
    waiting_jobs: int
    completed_last_hour: int
    failed_jobs: int
    completed_jobs: int
    paused: bool


class _Leases(msgspec.Struct):
    jobs: list[Lease]


class _Queues(msgspec.Struct):
    queues: list[Queue]


class _Beat(msgspec.Struct):
    leased_until: str
    cancel: bool


class Jobs:
    """The jobs of a log; `log.jobs`. What a method changes is as durable as an append when it returns.

    Each priority of a name is a queue of its own: `queue:NAME:high`, `queue:NAME`, `queue:NAME:low`.

    Every method raises `Closed` after `close()` of the log, and those that change anything `StorageUnavailable`.
    """

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine

    def enqueue(
        self,
        queue: str,
        payload: object = None,
        *,
        priority: Priority = "normal",
        delay: float = 0.0,
        retries: int = 3,
        timeout: float = 30.0,
        unique_key: str | None = None,
    ) -> Enqueued:
        """Enqueues a job.

        Args:
            queue: the base name, 1 to 64 of a-z, 0-9, `-`, `_` and `.`.
            payload: any value that JSON can hold, at most 64 KiB.
            delay: seconds that the job waits at least.
            retries: how often it is tried again, after waits that grow, before it has failed.
            timeout: seconds that an attempt may take, for whoever runs it.
            unique_key: as long as another job of the name with this key is waiting or active, that one is answered.

        Raises:
            InvalidRequest: an argument is out of its range, or the payload is not JSON. PayloadTooLarge.
            Saturated: jobs take up `jobs_bytes` of memory.
        """
        told = self._engine().job_enqueue(
            queue,
            _json("payload", payload),
            priority=priority,
            delay_ms=_millis("delay", delay),
            retries=retries,
            timeout_ms=_millis("timeout", timeout),
            unique_key=unique_key,
        )
        return msgspec.json.decode(told, type=Enqueued)

    def lease(self, queue: str, *, limit: int = 1, seconds: float = DEFAULT_LEASE_SECONDS) -> list[Lease]:
        """Takes up to `limit` jobs that are due, and holds them for so many seconds: of a base name those of higher
        priority first, of a full name those of that queue. Empty when there is none."""
        told = self._engine().job_lease(queue, limit, _millis("seconds", seconds))
        return msgspec.json.decode(told, type=_Leases).jobs

    def heartbeat(
        self, job: Lease, *, seconds: float = DEFAULT_LEASE_SECONDS, progress: object = msgspec.UNSET
    ) -> bool:
        """Holds a job for so many seconds from now on; True when it is to be cancelled. `progress` is any value that
        JSON can hold, at most 16 KiB, for the next attempt to go on from.

        Raises:
            LeaseLost: the lease ran out, or the job ended. JobNotFound.
        """
        text = None if progress is msgspec.UNSET else _json("progress", progress)
        told = self._engine().job_heartbeat(job.id, job.lease, _millis("seconds", seconds), text)
        return msgspec.json.decode(told, type=_Beat).cancel

    def complete(self, job: Lease, result: object = None) -> None:
        """Ends a job that is done.

        Raises:
            LeaseLost, JobNotFound: as `heartbeat`.
        """
        self._engine().job_complete(job.id, job.lease, None if result is None else _json("result", result))

    def fail(self, job: Lease, message: str, *, stack_trace: str | None = None, retry: bool = True) -> None:
        """Ends an attempt that failed. With `retry` the job is handed out again later, until its retries are used up.

        Raises:
            LeaseLost, JobNotFound: as `heartbeat`.
        """
        error = {"message": message} | ({} if stack_trace is None else {"stack_trace": stack_trace})
        self._engine().job_fail(job.id, job.lease, _json("error", error), retry)

    def get(self, job_id: str) -> Job:
        """One job. Raises `JobNotFound`."""
        return msgspec.json.decode(self._engine().job_get(job_id), type=Job)

    def list(
        self, queue: str, status: JobStatus | None = None, *, limit: int = DEFAULT_PAGE, offset: int = 0
    ) -> JobPage:
        """Jobs of one queue: active and waiting ones in the order in which they are due, ended ones newest first.

        Raises:
            QueueNotFound, InvalidRequest
        """
        return msgspec.json.decode(self._engine().job_list(queue, status, limit, offset), type=JobPage)

    def queues(self) -> tuple[Queue, ...]:
        """Every queue, by name and priority."""
        return tuple(msgspec.json.decode(self._engine().job_queues(), type=_Queues).queues)

    def retry(self, job_id: str) -> None:
        """Lets a job that has failed wait again, with all of its attempts. Raises `JobNotFound`, `JobConflict`."""
        self._engine().job_retry(job_id)

    def delete(self, job_id: str) -> None:
        """Deletes a job that is not active. Raises `JobNotFound`, `JobConflict`."""
        self._engine().job_delete(job_id)

    def cancel(self, job_id: str) -> None:
        """Fails a waiting job; who holds an active one is told by its next heartbeat. Raises `JobNotFound`,
        `JobConflict`."""
        self._engine().job_cancel(job_id)

    def pause(self, queue: str) -> None:
        """Stops handing out jobs of one queue, also after a restart. Raises `QueueNotFound`."""
        self._engine().job_pause(queue)

    def resume(self, queue: str) -> None:
        """Hands out jobs of one queue again. Raises `QueueNotFound`."""
        self._engine().job_resume(queue)


def _millis(name: str, seconds: float) -> int:
    """Whole milliseconds; the engine checks the range."""
    try:
        millis = round(seconds * 1000)
    except (OverflowError, ValueError):
        millis = -1
    if not 0 <= millis < 1 << 63:
        raise InvalidRequest(f"{name} is {seconds}, which is no number of seconds from 0 on")
    return millis


def _json(name: str, value: object) -> bytes:
    try:
        text = msgspec.json.encode(value)
        # msgspec would write NaN and infinities as null, since JSON does not have them.
        if b"null" in text and has_non_finite(value):
            raise ValueError("NaN and infinities are no JSON numbers; send None or a text instead")
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"the {name} cannot be written as JSON: {error}") from None
    return text
