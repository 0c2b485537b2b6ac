"""What all ingest routes do: the body goes to the engine, which reads it and writes the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forebay._forebay import Engine
from forebay.errors import InvalidRequest
from forebay.server.http.commit_future import CommitFuture
from forebay.server.http.ingest_options import HEADERS, ON_INVALID, IngestOptions, ingest_options
from forebay.server.http.parameters import Parameter
from forebay.server.http.response import JSON, Header, Response

if TYPE_CHECKING:
    from forebay.server.config import Settings
    from forebay.server.http.request import Request

Answer = tuple[int, bytes]
"""Status and JSON body."""

_STORED = frozenset({200, 201, 202})

DURABLE = ("Forebay-Durability",)
"""Headers of every acknowledgement."""

WITHOUT_QUARANTINE: tuple[Parameter[Any], ...] = tuple(row for row in HEADERS if row.name.lower() != ON_INVALID)
"""The headers of routes that answer for each event."""


class Ingest:
    """An ingest request that the front leaves to us: chunked, refused, with a query, or from nobody it knows."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._ack_seconds = settings.ack_timeout_seconds
        self._durability: Header = ("forebay-durability", settings.durability)

    async def __call__(self, request: Request, shape: int, terms: IngestOptions | None = None) -> Response:
        """Stores the body of the request, which is of that shape, and answers when it is durable."""
        terms = ingest_options(request.scope.headers, request.principal) if terms is None else terms
        body = await request.body(encoded=True)
        commit: CommitFuture[Answer] = CommitFuture(self._ack_seconds)
        self._engine.submit(shape, body, commit, *terms)
        status, answer = await commit.wait()
        return Response(status, answer, [JSON, self._durability] if status in _STORED else [JSON])


def options_without_quarantine(request: Request) -> IngestOptions:
    """The terms of a request to a route that answers for each event.

    Raises:
        InvalidRequest: they ask for a quarantine.
    """
    terms = ingest_options(request.scope.headers, request.principal)
    if terms.quarantine:
        raise InvalidRequest(f"{ON_INVALID}: quarantine is not for this route, which answers for each event")
    return terms
