"""The routes that take events: one for each row of the engine's table, described by what the modules beside say of its
bodies and answers. A row that none of them describes takes any JSON and stores it whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from forebay import errors
from forebay.server.api.ingest import analytics, drain, events, publish
from forebay.server.api.streams.streams import known_name
from forebay.server.http.ingest import DURABLE, INGEST_ROUTES, WITHOUT_QUARANTINE, Ingest, IngestSpec
from forebay.server.http.ingest_options import HEADERS
from forebay.server.http.response import Response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay._forebay import IngestRoute
    from forebay.server.http.request import Request
    from forebay.server.services import Services

SPECS: Mapping[str, IngestSpec] = {**drain.SPECS, **events.SPECS, **analytics.SPECS, **publish.SPECS}
"""By the names of the rows."""

STORED_WHOLE = IngestSpec(Any, {202: ResponseSpec(drain.Accepted, "Every event of the body is stored.", DURABLE)})


def routes(services: Services) -> list[Route]:
    ingest = Ingest(services.engine, services.settings)
    return [_route(row, ingest, services.settings.max_body_bytes) for row in INGEST_ROUTES.values()]


def _route(row: IngestRoute, ingest: Ingest, max_body_bytes: int) -> Route:
    spec = SPECS.get(row.name, STORED_WHOLE)

    async def answer(request: Request) -> Response:
        stream = known_name(request.bound["name"]) if row.stream is None else None
        if not row.projects:
            request.principal.check_all_projects(spec.without_projects)
        return await ingest(row, request, stream)

    return Route(
        row.method,
        row.path,
        answer,
        Role(row.role),
        row.body_limit(max_body_bytes),
        summary=row.summary,
        shape=spec.body,
        headers=HEADERS if row.quarantine else WITHOUT_QUARANTINE,
        responses=spec.responses,
        errors=(errors.StreamNotFound,) if row.stream is None else (),
    )
