"""One module a resource; together they are the route table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.server.api import processors, views
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
from forebay.server.api.platform import exports, follow, infrastructure, jobs, logs, queues
from forebay.server.api.streams import consume, consumers, manage, streams, tail
from forebay.server.console import docs

if TYPE_CHECKING:
    from forebay.server.http.router import Route
    from forebay.server.services import Services


def routes(services: Services) -> list[Route]:
    """Every route of the server."""
    return [
        *ingest.routes(services),
        *streams.routes(services),
        *manage.routes(services),
        *consume.routes(services),
        *consumers.routes(services),
        *tail.routes(services),
        *processors.routes(services),
        *logs.routes(services),
        *follow.routes(services),
        *exports.routes(services),
        *queues.routes(services),
        *jobs.routes(services),
        *infrastructure.routes(services),
        *ticket.routes(services),
        *load_test.routes(services),
        *scale.routes(services),
        *clock.routes(services),
        *health.routes(services, services.views.not_ready),
        *metrics.routes(services),
        *live.routes(services),
        *views.routes(services.views.cache),
        *system_health.routes(services),
        *websocket.routes(services),
        *docs.routes(services),
    ]
