"""One module a resource; together they are the route table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.server.api.ingest import routes as ingest
from forebay.server.api.operations import (
    clock,
    health,
    live,
    load_test,
    metrics,
    scale,
    system_health,
    ticket,
    websocket,
)
from forebay.server.api.streams import consume, consumers, manage, streams, tail
from forebay.server.console import docs

if TYPE_CHECKING:
    from forebay.server.app import App
    from forebay.server.http.router import Route


def routes(app: App) -> list[Route]:
    """Every route of the server."""
    return [
        *ingest.routes(app),
        *streams.routes(app),
        *manage.routes(app),
        *consume.routes(app),
        *consumers.routes(app),
        *tail.routes(app),
        *ticket.routes(app),
        *load_test.routes(app),
        *scale.routes(app),
        *clock.routes(app),
        *health.routes(app),
        *metrics.routes(app),
        *live.routes(app),
        *system_health.routes(app),
        *websocket.routes(app),
        *docs.routes(app),
    ]
