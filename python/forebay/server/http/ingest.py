"""The handler of all ingest routes: the engine reads the body and writes the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forebay._forebay import Engine, IngestRoute, ingest_routes
from forebay.errors import InvalidRequest
from forebay.server.http.commit_future import CommitFuture
from forebay.server.http.ingest_options import HEADERS, ON_INVALID, ingest_options
from forebay.server.http.parameters import Parameter
from forebay.server.http.response import JSON, Header, Response
from forebay.server.http.response_spec import ResponseSpec

if TYPE_CHECKING:
    from forebay.server.config import Settings
    from forebay.server.http.request import Request

Answer = tuple[int, bytes]
"""Status and JSON body."""

_STORED = frozenset({200, 201, 202})

DURABLE = ("Forebay-Durability",)
"""Response headers of every acknowledgement."""

WITHOUT_QUARANTINE: tuple[Parameter[Any], ...] = tuple(row for row in HEADERS if row.name.lower() != ON_INVALID)
"""The request headers of routes that answer for each event."""


INGEST_ROUTES: Mapping[str, IngestRoute] = {row.name: row for row in ingest_routes()}
"""The engine's table of the routes that take events, by the rows' names."""


@dataclass(slots=True, frozen=True)
class IngestSpec:
    """The texts of an ingest route, which the engine's row does not have.

    Attributes:
        body: the type of the JSON body, for OpenAPI.
        responses: the answers, for OpenAPI.
        without_projects: the end of the refusal of a token that is limited to projects, where the route takes none.
    """

    body: Any
    responses: Mapping[int, ResponseSpec]
    without_projects: str = "and the events of this route have none"


class Ingest:
    """Serves the ingest requests that the front passes on: chunked ones, those with a query, those to be refused."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._ack_seconds = settings.ack_timeout_seconds
        self._durability: Header = ("forebay-durability", settings.durability)

    async def __call__(self, row: IngestRoute, request: Request, stream: str | None = None) -> Response:
        """Stores the body of the request to that route, and answers when it is durable. `stream` is where its events
        go, when the route does not say it.

        Raises:
            InvalidRequest: a header is wrong, or asks for a quarantine where the route answers for each event.
        """
        options = ingest_options(request.scope.headers, request.principal)
        if options.quarantine and not row.quarantine:
            raise InvalidRequest(f"{ON_INVALID}: quarantine is not for this route, which answers for each event")
        body = await request.body(encoded=True)
        commit: CommitFuture[Answer] = CommitFuture(self._ack_seconds)
        self._engine.submit(row, body, commit, *options._replace(stream=stream))
        status, answer = await commit.wait()
        return Response(status, answer, [JSON, self._durability] if status in _STORED else [JSON])
