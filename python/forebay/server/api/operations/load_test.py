"""`/api/load-test`: starts, shows and stops the load test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from forebay import errors
from forebay.server.http.body import MAX_BODY_BYTES, read
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.load_test import MAX_EVENTS_PER_SECOND, MAX_SECONDS, LoadTestProgress

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.services import Services

NO_LOAD = "so it starts and stops no load test"


class NewLoadTest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The rate and the duration of a load test."""

    events_per_second: Annotated[int, msgspec.Meta(ge=1, le=MAX_EVENTS_PER_SECOND)]
    duration_seconds: Annotated[int, msgspec.Meta(ge=1, le=MAX_SECONDS)]


class LoadTestAnswer(msgspec.Struct):
    """The outcome, for people."""

    success: Literal[True]
    message: str


def routes(services: Services) -> list[Route]:
    async def start(request: Request) -> Response:
        request.principal.check_all_projects(NO_LOAD)
        asked = read(await request.body(), NewLoadTest)
        await services.blocking(services.load_test.start, asked.events_per_second, asked.duration_seconds)
        message = f"Load test started: {asked.events_per_second} events/sec for {asked.duration_seconds} seconds"
        return json_response(200, LoadTestAnswer(True, message))

    async def progress(_request: Request) -> Response:
        return json_response(200, services.load_test.progress())

    async def stop(request: Request) -> Response:
        request.principal.check_all_projects(NO_LOAD)
        ran = await services.blocking(services.load_test.stop)
        return json_response(200, LoadTestAnswer(True, "Load test stopped" if ran else "No load test was running"))

    path = "/api/load-test"
    return [
        Route(
            "POST",
            path,
            start,
            Role.OPS,
            body_limit=MAX_BODY_BYTES,
            summary="Starts a load test inside the server: an open loop of synthetic events of the source `load_test`.",
            shape=NewLoadTest,
            responses={200: ResponseSpec(LoadTestAnswer, "The load test runs.")},
            errors=(errors.Conflict, errors.StorageUnavailable),
        ),
        Route(
            "GET",
            path,
            progress,
            Role.OPS,
            summary="Progress of the load test: counts, rates, and latencies since requests were due.",
            responses={200: ResponseSpec(LoadTestProgress, "The load test that runs, or the last one.")},
        ),
        Route(
            "DELETE",
            path,
            stop,
            Role.OPS,
            summary="Stops the load test.",
            responses={200: ResponseSpec(LoadTestAnswer, "No load test runs now.")},
        ),
    ]
