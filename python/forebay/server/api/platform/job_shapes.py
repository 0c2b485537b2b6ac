"""The shapes of jobs and queues. The engine writes most of the answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from forebay.embedded.jobs import JobStatus, Priority

Count = Annotated[int, msgspec.Meta(ge=0)]


class QueueStatus(msgspec.Struct):
    """One queue. `status` is `critical` with more than 1,000 waiting or 10 failed jobs, and `warning` from 100 waiting
    ones on. Delayed jobs are waiting."""

    name: str
    priority: Priority
    active_jobs: Count
    waiting_jobs: Count
    completed_last_hour: Count
    failed_jobs: Count
    status: Literal["healthy", "warning", "critical"]
    completed_jobs: Count
    paused: bool


class Queues(msgspec.Struct):
    """Every queue, by name and priority."""

    queues: list[QueueStatus]


class QueuesAnswer(msgspec.Struct):
    """Every queue."""

    success: Literal[True]
    data: Queues


class Job(msgspec.Struct):
    """One job. `error` is the worker's own, with `message`; `progress` what a worker has told, for the next one to go
    on from."""

    id: str
    queue: str
    priority: Priority
    status: JobStatus
    payload: Any
    error: Any
    result: Any
    progress: Any
    attempts: Count
    retries: Count
    timeout_ms: Count
    unique_key: str | None
    cancel_requested: bool
    created_at: str
    updated_at: str
    available_at: str | None
    leased_until: str | None


class JobsPagination(msgspec.Struct):
    """The page; `total` is exact."""

    total: Count
    limit: Count
    offset: Count


class JobPage(msgspec.Struct):
    """Jobs of a queue: active and waiting ones in the order in which they are due, ended ones newest first."""

    jobs: list[Job]
    pagination: JobsPagination


class JobsAnswer(msgspec.Struct):
    """A page of jobs."""

    success: Literal[True]
    data: JobPage


class QueueState(msgspec.Struct):
    """Whether a queue hands out jobs from then on."""

    queue: str
    status: Literal["paused", "active"]
    timestamp: str


class QueueStateAnswer(msgspec.Struct):
    """The state is stored."""

    success: Literal[True]
    data: QueueState


class NewJob(msgspec.Struct, forbid_unknown_fields=True):
    """A job. `priority` is that of the queue that is named, where it names one."""

    payload: msgspec.Raw
    priority: Priority = "normal"
    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=31_622_400_000)] = 0
    retries: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 3
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=86_400_000)] = 30_000
    unique_key: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None


class EnqueuedJob(msgspec.Struct):
    """The job. `created` is false when another one with its unique key is waiting or active, which is answered then."""

    job_id: str
    queue: str
    status: JobStatus
    created: bool


class EnqueuedAnswer(msgspec.Struct):
    """The job is stored."""

    success: Literal[True]
    data: EnqueuedJob


LeaseMillis = Annotated[int, msgspec.Meta(ge=1, le=86_400_000)]
LeaseId = Annotated[str, msgspec.Meta(max_length=256)]


class LeaseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """How many jobs a worker takes, and for how long."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    lease_ms: LeaseMillis = 30_000


class LeasedJob(msgspec.Struct):
    """A job that the worker holds as long as its lease runs."""

    id: str
    queue: str
    lease: str
    payload: Any
    attempts: Count
    retries: Count
    leased_until: str
    timeout_ms: Count
    progress: Any


class LeasedJobs(msgspec.Struct):
    """The jobs; none when none waits."""

    jobs: list[LeasedJob]


class LeaseAnswer(msgspec.Struct):
    """The jobs that were handed out."""

    success: Literal[True]
    data: LeasedJobs


class CompleteRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The job is done."""

    lease: LeaseId
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class JobError(msgspec.Struct, forbid_unknown_fields=True):
    """Why an attempt failed."""

    message: str
    stack_trace: str | msgspec.UnsetType = msgspec.UNSET


class FailRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The attempt failed. With `retry` the job is handed out again later, until its retries are used up."""

    lease: LeaseId
    error: JobError
    retry: bool = True


class HeartbeatRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The worker is at it, and wants the job for so long from now on."""

    lease: LeaseId
    lease_ms: LeaseMillis = 30_000
    progress: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Beat(msgspec.Struct):
    """`cancel` asks the worker to stop."""

    leased_until: str
    cancel: bool


class BeatAnswer(msgspec.Struct):
    """The lease is prolonged."""

    success: Literal[True]
    data: Beat


class JobState(msgspec.Struct):
    """What the job is now."""

    job_id: str
    queue: str
    status: JobStatus
    cancel_requested: bool


class JobStateAnswer(msgspec.Struct):
    """What the job is now."""

    success: Literal[True]
    data: JobState


class RetriedJob(msgspec.Struct):
    """The job waits, with all of its attempts."""

    job_id: str
    status: Literal["queued"]
    attempts_reset: Literal[True]


class RetriedAnswer(msgspec.Struct):
    """The job waits."""

    success: Literal[True]
    data: RetriedJob


class DeletedJob(msgspec.Struct):
    """The job is gone."""

    job_id: str
    status: Literal["deleted"]


class DeletedAnswer(msgspec.Struct):
    """The job is gone."""

    success: Literal[True]
    data: DeletedJob
