"""One module a resource; together they are the route table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.api import consume, consumers, drain, health, metrics, streams

if TYPE_CHECKING:
    from forebay.app import App
    from forebay.http.router import Route


def routes(app: App) -> list[Route]:
    """Every route of the server."""
    modules = (consume, consumers, drain, health, metrics, streams)
    return [route for module in modules for route in module.routes(app)]
