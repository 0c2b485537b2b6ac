"""Queues of jobs: shown, listed, paused and resumed by operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from forebay import errors
from forebay.embedded.jobs import JobStatus, Priority
from forebay.server.api.platform.job_shapes import JobsAnswer, Queues, QueuesAnswer, QueueStateAnswer, QueueStatus
from forebay.server.http.parameters import Parameters, choice, whole
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route, Segment

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.services import Services

SYSTEM = "/api/v1/platform/system"
PATH = f"{SYSTEM}/queues"

QUEUE = {
    "queue": Segment(
        "The queue: `queue:NAME:high`, `queue:NAME` or `queue:NAME:low`; `NAME` alone is `queue:NAME`.",
        r"^(queue:)?[a-z0-9_.-]{1,64}(:high|:low)?$",
    )
}

MAX_PAGE = 100
"""The most jobs of a page."""

MAX_OFFSET = 1_000_000_000
"""More jobs than fit any memory."""

STATUS = choice("status", None, get_args(JobStatus), "Only jobs of this status.")
LIMIT = whole("limit", 50, 1, MAX_PAGE, "The most jobs of an answer.")
OFFSET = whole("offset", 0, 0, MAX_OFFSET, "So many of the first are left out.")

WARNING_WAITING = 100
CRITICAL_WAITING = 1000
CRITICAL_FAILED = 10

NO_JOBS = "so it has nothing to do with jobs, which belong to none"

WRITING = (errors.Saturated, errors.StorageUnavailable)


class _Queue(msgspec.Struct):
    """A queue as the engine tells it."""

    name: str
    priority: Priority
    active_jobs: int
    waiting_jobs: int
    completed_last_hour: int
    failed_jobs: int
    completed_jobs: int
    paused: bool

    def status(self) -> Literal["healthy", "warning", "critical"]:
        """How it stands, by the thresholds."""
        if self.waiting_jobs > CRITICAL_WAITING or self.failed_jobs > CRITICAL_FAILED:
            return "critical"
        return "warning" if self.waiting_jobs >= WARNING_WAITING else "healthy"


class _Queues(msgspec.Struct):
    queues: list[_Queue]


class _Page(msgspec.Struct):
    """A page as the engine tells it; nobody reads the jobs on the way."""

    jobs: msgspec.Raw
    total: int
    limit: int
    offset: int


def succeeded(data: bytes) -> Response:
    """An answer around what the engine has written."""
    return Response(200, b'{"success":true,"data":' + data + b"}")


def routes(services: Services) -> list[Route]:
    return [*_reading(services), *_changing(services)]


def _reading(services: Services) -> list[Route]:
    engine = services.engine

    async def listing(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        told = msgspec.json.decode(await services.blocking(engine.job_queues), type=_Queues)
        queues = [QueueStatus(**msgspec.structs.asdict(queue), status=queue.status()) for queue in told.queues]
        return json_response(200, QueuesAnswer(True, Queues(queues)))

    async def jobs(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        queue, status = request.bound["queue"], request.value(STATUS)
        limit, offset = request.value(LIMIT), request.value(OFFSET)
        told = await services.blocking(engine.job_list, queue, status, limit, offset)
        page = msgspec.json.decode(told, type=_Page)
        pagination = {"total": page.total, "limit": page.limit, "offset": page.offset}
        return succeeded(msgspec.json.encode({"jobs": page.jobs, "pagination": pagination}))

    return [
        Route(
            "GET",
            PATH,
            listing,
            Role.OPS,
            summary="Every queue of jobs, with its counts.",
            responses={200: ResponseSpec(QueuesAnswer, "The queues.")},
        ),
        Route(
            "GET",
            f"{PATH}/{{queue}}/jobs",
            jobs,
            Role.OPS,
            parameters=Parameters(STATUS, LIMIT, OFFSET),
            summary="Jobs of a queue.",
            responses={200: ResponseSpec(JobsAnswer, "The page.")},
            errors=(errors.QueueNotFound,),
            segments=QUEUE,
        ),
    ]


def _changing(services: Services) -> list[Route]:
    engine = services.engine

    async def pause(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        return succeeded(await services.blocking(engine.job_pause, request.bound["queue"]))

    async def resume(request: Request) -> Response:
        request.principal.check_all_projects(NO_JOBS)
        return succeeded(await services.blocking(engine.job_resume, request.bound["queue"]))

    return [
        Route(
            "POST",
            f"{PATH}/{{queue}}/pause",
            pause,
            Role.OPS,
            summary="Stops handing out jobs of a queue, until it is resumed; jobs that are handed out go on.",
            responses={200: ResponseSpec(QueueStateAnswer, "It is paused, also after a restart.")},
            errors=(errors.QueueNotFound, *WRITING),
            segments=QUEUE,
        ),
        Route(
            "POST",
            f"{PATH}/{{queue}}/resume",
            resume,
            Role.OPS,
            summary="Hands out jobs of a queue again.",
            responses={200: ResponseSpec(QueueStateAnswer, "It is active.")},
            errors=(errors.QueueNotFound, *WRITING),
            segments=QUEUE,
        ),
    ]
