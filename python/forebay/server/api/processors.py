"""Stream processors: created, previewed, shown, paused, deleted, and their dead letters. The engine reads the
definitions and writes most of the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from forebay import errors
from forebay.embedded.processors import DEFAULT_DEAD_LETTERS, DEFAULT_PREVIEW_RECORDS
from forebay.processors.shapes import (
    DeadLetters,
    DroppedDeadLetters,
    Preview,
    ProcessorDefinition,
    ProcessorDescription,
    ProcessorMetrics,
    Replay,
)
from forebay.server.api.streams.streams import MAX_OFFSET, rfc3339_now
from forebay.server.http.parameters import Parameters, whole
from forebay.server.http.response import Response, json_response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.services import Services

MAX_DEFINITION_BYTES = 256 * 1024
"""The longest definition; the engine enforces it."""

MAX_PREVIEW_RECORDS = 100_000
"""The most records of a preview, which holds its results in memory; the engine enforces it."""

MAX_DEAD_LETTERS = 1_000
"""The most dead letters of one answer; the engine enforces it."""

PROCESSOR = {"id": "The processor's id or its name."}

RECORDS = whole(
    "records", DEFAULT_PREVIEW_RECORDS, 1, MAX_PREVIEW_RECORDS, "How many of the newest records of the source are read."
)
OFFSET = whole("offset", 0, 0, MAX_OFFSET, "The first offset of the list; `nextOffset` of an answer goes on with it.")
LIMIT = whole(
    "limit", DEFAULT_DEAD_LETTERS, 1, MAX_DEAD_LETTERS, "The most dead letters of an answer, which also ends at 4 MiB."
)
THROUGH = whole("through", None, 0, MAX_OFFSET, "The last offset that is meant; all that there are now by default.")

_NO_CHANGES = "so it changes no processors"
_NO_PREVIEWS = "so it previews no processors"


class ProcessorList(msgspec.Struct):
    """Every processor, by name."""

    processors: list[ProcessorDescription]


class DeletedProcessor(msgspec.Struct, rename="camel"):
    """The processor and its open windows are deleted. Its sink stays, with all that is in it."""

    status: Literal["deleted"]
    processor_id: str
    name: str
    deleted_at: str


def routes(services: Services) -> list[Route]:
    return [*_reading(services), *_defining(services), *_changing(services), *_dead_letters(services)]


def _reading(services: Services) -> list[Route]:
    engine = services.engine

    async def listing(_request: Request) -> Response:
        return Response(200, b'{"processors":' + await services.blocking(engine.processors) + b"}")

    async def one(request: Request) -> Response:
        return Response(200, await services.blocking(engine.processor, request.bound["id"]))

    async def metrics(request: Request) -> Response:
        return Response(200, await services.blocking(engine.processor_metrics, request.bound["id"]))

    return [
        Route(
            "GET",
            "/api/v1/processors",
            listing,
            Role.READ,
            summary="Every stream processor.",
            responses={200: ResponseSpec(ProcessorList, "All processors.")},
        ),
        Route(
            "GET",
            "/api/v1/processors/{id}",
            one,
            Role.READ,
            summary="One stream processor with its definition and status.",
            responses={200: ResponseSpec(ProcessorDescription, "The processor.")},
            errors=(errors.ProcessorNotFound,),
            segments=PROCESSOR,
        ),
        Route(
            "GET",
            "/api/v1/processors/{id}/metrics",
            metrics,
            Role.READ,
            summary="Figures of a stream processor and its newest windows.",
            responses={200: ResponseSpec(ProcessorMetrics, "The figures.")},
            errors=(errors.ProcessorNotFound,),
            segments=PROCESSOR,
        ),
    ]


def _defining(services: Services) -> list[Route]:
    engine = services.engine

    async def create(request: Request) -> Response:
        request.principal.check_all_projects(_NO_CHANGES)
        return Response(201, await services.blocking(engine.create_processor, await request.body()))

    async def preview(request: Request) -> Response:
        request.principal.check_all_projects(_NO_PREVIEWS)
        definition, records = await request.body(), request.value(RECORDS)
        return Response(200, await services.blocking(engine.preview_processor, definition, records))

    return [
        Route(
            "POST",
            "/api/v1/processors",
            create,
            Role.OPS,
            MAX_DEFINITION_BYTES,
            summary="Creates a stream processor, which runs from then on.",
            shape=ProcessorDefinition,
            responses={201: ResponseSpec(ProcessorDescription, "The processor runs; it is there after a crash, too.")},
            errors=(
                errors.StreamNotFound,
                errors.ProcessorNotFound,
                errors.ProcessorAlreadyExists,
                errors.StreamLimitReached,
                errors.Conflict,
            ),
        ),
        Route(
            "POST",
            "/api/v1/processors/preview",
            preview,
            Role.OPS,
            MAX_DEFINITION_BYTES,
            parameters=Parameters(RECORDS),
            summary="What a stream processor would make of the newest records. Creates and writes nothing.",
            shape=ProcessorDefinition,
            responses={200: ResponseSpec(Preview, "The results, as if the windows that are open had ended.")},
            errors=(errors.StreamNotFound,),
        ),
    ]


def _changing(services: Services) -> list[Route]:
    engine = services.engine

    async def pause(request: Request) -> Response:
        request.principal.check_all_projects(_NO_CHANGES)
        return Response(200, await services.blocking(engine.pause_processor, request.bound["id"]))

    async def resume(request: Request) -> Response:
        request.principal.check_all_projects(_NO_CHANGES)
        return Response(200, await services.blocking(engine.resume_processor, request.bound["id"]))

    def deleted(name: str) -> ProcessorDescription:
        known = msgspec.json.decode(engine.processor(name), type=ProcessorDescription)
        engine.delete_processor(known.processor_id)
        return known

    async def delete(request: Request) -> Response:
        request.principal.check_all_projects(_NO_CHANGES)
        known = await services.blocking(deleted, request.bound["id"])
        return json_response(200, DeletedProcessor("deleted", known.processor_id, known.name, rfc3339_now()))

    refusals = (errors.ProcessorNotFound, errors.Conflict, errors.Saturated, errors.StorageUnavailable)
    return [
        Route(
            "POST",
            "/api/v1/processors/{id}/pause",
            pause,
            Role.OPS,
            summary="Lets a stream processor stand where it is.",
            responses={200: ResponseSpec(ProcessorDescription, "It is paused.")},
            errors=refusals,
            segments=PROCESSOR,
        ),
        Route(
            "POST",
            "/api/v1/processors/{id}/resume",
            resume,
            Role.OPS,
            summary="Lets a stream processor go on where it stands.",
            responses={200: ResponseSpec(ProcessorDescription, "It runs.")},
            errors=refusals,
            segments=PROCESSOR,
        ),
        Route(
            "DELETE",
            "/api/v1/processors/{id}",
            delete,
            Role.OPS,
            summary="Deletes a stream processor and its open windows; its sink stays.",
            responses={200: ResponseSpec(DeletedProcessor, "The processor is deleted.")},
            errors=(errors.ProcessorNotFound, errors.Saturated, errors.StorageUnavailable),
            segments=PROCESSOR,
        ),
    ]


def _dead_letters(services: Services) -> list[Route]:
    engine = services.engine

    async def listing(request: Request) -> Response:
        name, offset, limit = request.bound["id"], request.value(OFFSET), request.value(LIMIT)
        return Response(200, await services.blocking(engine.processor_dead_letters, name, offset, limit))

    async def replay(request: Request) -> Response:
        request.principal.check_all_projects(_NO_CHANGES)
        name, through = request.bound["id"], request.value(THROUGH)
        return Response(202, await services.blocking(engine.replay_dead_letters, name, through))

    async def drop(request: Request) -> Response:
        request.principal.check_all_projects(_NO_CHANGES)
        name, through = request.bound["id"], request.value(THROUGH)
        return Response(200, await services.blocking(engine.drop_dead_letters, name, through))

    return [
        Route(
            "GET",
            "/api/v1/processors/{id}/dead-letters",
            listing,
            Role.READ,
            parameters=Parameters(OFFSET, LIMIT),
            summary="Records that a stream processor could not process, and that are neither replayed nor dropped.",
            responses={200: ResponseSpec(DeadLetters, "The oldest from the offset on.")},
            errors=(errors.ProcessorNotFound, errors.StorageUnavailable),
            segments=PROCESSOR,
        ),
        Route(
            "POST",
            "/api/v1/processors/{id}/dead-letters/replay",
            replay,
            Role.OPS,
            parameters=Parameters(THROUGH),
            summary="Has a stream processor try its dead letters again, as records that come now.",
            responses={202: ResponseSpec(Replay, "They are tried from now on; one that fails again is a new one.")},
            errors=(errors.ProcessorNotFound, errors.Conflict),
            segments=PROCESSOR,
        ),
        Route(
            "DELETE",
            "/api/v1/processors/{id}/dead-letters",
            drop,
            Role.OPS,
            parameters=Parameters(THROUGH),
            summary="Lets dead letters of a stream processor be. Their stream keeps them for as long as it keeps any.",
            responses={200: ResponseSpec(DroppedDeadLetters, "They are neither listed nor replayed any more.")},
            errors=(errors.ProcessorNotFound, errors.Conflict, errors.Saturated, errors.StorageUnavailable),
            segments=PROCESSOR,
        ),
    ]
