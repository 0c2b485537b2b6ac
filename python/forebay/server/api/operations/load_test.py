"""The load test: started, watched, stopped."""

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
    from forebay.server.app import App
    from forebay.server.http.request import Request

NO_LOAD = "so it starts and stops no load test"


class NewLoadTest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """So many events a second, for so many seconds."""

    events_per_second: Annotated[int, msgspec.Meta(ge=1, le=MAX_EVENTS_PER_SECOND)]
    duration_seconds: Annotated[int, msgspec.Meta(ge=1, le=MAX_SECONDS)]


class LoadTestAnswer(msgspec.Struct):
    """What was done."""

    success: Literal[True]
    message: str


def routes(app: App) -> list[Route]:
    async def start(request: Request) -> Response:
        request.principal.check_all_projects(NO_LOAD)
        asked = read(await request.body(), NewLoadTest)
        await app.blocking(app.load_test.start, asked.events_per_second, asked.duration_seconds)
        message = f"Load test started: {asked.events_per_second} events/sec for {asked.duration_seconds} seconds"
        return json_response(200, LoadTestAnswer(True, message))

    async def progress(_request: Request) -> Response:
        return json_response(200, app.load_test.progress())

    async def stop(request: Request) -> Response:
        request.principal.check_all_projects(NO_LOAD)
        ran = await app.blocking(app.load_test.stop)
        return json_response(200, LoadTestAnswer(True, "Load test stopped" if ran else "No load test was running"))

    path = "/api/load-test"
    return [
        Route(
            "POST",
            path,
            start,
            Role.OPS,
            body_limit=MAX_BODY_BYTES,
            summary="Starts an open loop of synthetic events of the source `load_test`, inside the server.",
            shape=NewLoadTest,
            responses={200: ResponseSpec(LoadTestAnswer, "It runs.")},
            errors=(errors.Conflict, errors.StorageUnavailable),
        ),
        Route(
            "GET",
            path,
            progress,
            Role.OPS,
            summary="What the load test did until now: counts, rates, and latencies from when requests were due.",
            responses={200: ResponseSpec(LoadTestProgress, "The one that runs, or the last one.")},
        ),
        Route(
            "DELETE",
            path,
            stop,
            Role.OPS,
            summary="Stops the load test.",
            responses={200: ResponseSpec(LoadTestAnswer, "None runs.")},
        ),
    ]
