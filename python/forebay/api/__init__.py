"""One module a resource; together they are the route table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.api import drain, health, metrics, streams, tail

if TYPE_CHECKING:
    from forebay.app import App
    from forebay.http.router import Route


def routes(app: App) -> list[Route]:
    """Every route of the server."""
    return [*drain.routes(app), *health.routes(app), *metrics.routes(app), *streams.routes(app), *tail.routes(app)]
