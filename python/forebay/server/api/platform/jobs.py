"""Jobs: enqueued, handed out to workers in any language, ended by them, and what operators do with one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from forebay import errors
from forebay.server.api.platform.job_shapes import (
    BeatAnswer,
    CompleteRequest,
    DeletedAnswer,
    DeletedJob,
    EnqueuedAnswer,
    FailRequest,
    HeartbeatRequest,
    JobStateAnswer,
    LeaseAnswer,
    LeaseRequest,
    NewJob,
    RetriedAnswer,
    RetriedJob,
)
from forebay.server.api.platform.queues import NO_JOBS, PATH, QUEUE, SYSTEM, WRITING, succeeded
from forebay.server.http.body import read
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.services import Services

JOBS = f"{SYSTEM}/jobs"

MAX_JOB_BYTES = 128 * 1024
"""The longest body: a payload or a result of 64 KiB with blanks, and what is around it."""

JOB = {"id": "The job's id."}


def routes(services: Services) -> list[Route]:
    return [*_handing_out(services), *_ending(services), *_operating(services)]


def _handing_out(services: Services) -> list[Route]:
    engine = services.engine

    async def enqueue(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        job = read(await request.body(), NewJob)
        call = partial(
            engine.job_enqueue,
            priority=job.priority,
            delay_ms=job.delay_ms,
            retries=job.retries,
            timeout_ms=job.timeout_ms,
            unique_key=job.unique_key,
        )
        return succeeded(await services.blocking(call, request.bound["queue"], bytes(job.payload)))

    async def lease(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        asked = read(await request.body(), LeaseRequest)
        return succeeded(await services.blocking(engine.job_lease, request.bound["queue"], asked.limit, asked.lease_ms))

    return [
        Route(
            "POST",
            f"{PATH}/{{queue}}/jobs",
            enqueue,
            Role.OPS,
            MAX_JOB_BYTES,
            summary="Enqueues a job; the first one of a queue makes the queue.",
            shape=NewJob,
            responses={200: ResponseSpec(EnqueuedAnswer, "The job is there, also after a crash.")},
            segments=QUEUE,
            also=(Role.INGEST,),
        ),
        Route(
            "POST",
            f"{PATH}/{{queue}}/lease",
            lease,
            Role.WORK,
            MAX_JOB_BYTES,
            summary="Hands out jobs to a worker; of `NAME` alone those of higher priority first.",
            shape=LeaseRequest,
            responses={200: ResponseSpec(LeaseAnswer, "The jobs, each with a lease.")},
            errors=WRITING,
            segments=QUEUE,
        ),
    ]


def _ending(services: Services) -> list[Route]:
    engine = services.engine

    async def complete(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        said = read(await request.body(), CompleteRequest)
        return succeeded(
            await services.blocking(engine.job_complete, request.bound["id"], said.lease, _text(said.result))
        )

    async def fail(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        said = read(await request.body(), FailRequest)
        error = msgspec.json.encode(said.error)
        return succeeded(await services.blocking(engine.job_fail, request.bound["id"], said.lease, error, said.retry))

    async def heartbeat(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        said = read(await request.body(), HeartbeatRequest)
        progress = _text(said.progress)
        return succeeded(
            await services.blocking(engine.job_heartbeat, request.bound["id"], said.lease, said.lease_ms, progress)
        )

    held = (errors.JobNotFound, errors.LeaseLost, *WRITING)
    rows = (
        ("complete", complete, CompleteRequest, JobStateAnswer, "Ends a job that is done."),
        ("fail", fail, FailRequest, JobStateAnswer, "Ends an attempt that failed; the job waits, or has failed."),
        ("heartbeat", heartbeat, HeartbeatRequest, BeatAnswer, "Prolongs a lease, and keeps the progress."),
    )
    return [
        Route(
            "POST",
            f"{JOBS}/{{id}}/{name}",
            answer,
            Role.WORK,
            MAX_JOB_BYTES,
            summary=summary,
            shape=shape,
            responses={200: ResponseSpec(reply, "It is stored.")},
            errors=held,
            segments=JOB,
        )
        for name, answer, shape, reply, summary in rows
    ]


def _operating(services: Services) -> list[Route]:
    engine = services.engine

    async def retry(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        job_id = request.bound["id"]
        await services.blocking(engine.job_retry, job_id)
        return json_response(200, RetriedAnswer(True, RetriedJob(job_id, "queued", True)))

    async def cancel(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        return succeeded(await services.blocking(engine.job_cancel, request.bound["id"]))

    async def delete(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        job_id = request.bound["id"]
        await services.blocking(engine.job_delete, job_id)
        return json_response(200, DeletedAnswer(True, DeletedJob(job_id, "deleted")))

    refusals = (errors.JobNotFound, errors.JobConflict, *WRITING)
    rows = (
        ("POST", "/retry", retry, RetriedAnswer, "Lets a job that has failed wait again, with all of its attempts."),
        ("POST", "/cancel", cancel, JobStateAnswer, "Fails a waiting job; the worker of an active one is told."),
        ("DELETE", "", delete, DeletedAnswer, "Deletes a job that is not active."),
    )
    return [
        Route(
            method,
            f"{JOBS}/{{id}}{name}",
            answer,
            Role.OPS,
            summary=summary,
            responses={200: ResponseSpec(reply, "It is stored.")},
            errors=refusals,
            segments=JOB,
        )
        for method, name, answer, reply, summary in rows
    ]


def _text(given: msgspec.Raw | msgspec.UnsetType) -> bytes | None:
    """A JSON text as it was sent; None when there was none."""
    return None if isinstance(given, msgspec.UnsetType) else bytes(given)
