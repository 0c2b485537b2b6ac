"""`GET /metrics` of any process: Prometheus' text format 0.0.4, or OpenMetrics 1.0 for clients that ask for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from forebay.server.http.response import Response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.telemetry import BuildCollector

if TYPE_CHECKING:
    from forebay.server.http.request import Request

_TEXT = ("content-type", "text/plain; version=0.0.4; charset=utf-8")
_OPENMETRICS = ("content-type", openmetrics.CONTENT_TYPE_LATEST)

Blocking = Callable[[Callable[[CollectorRegistry], bytes], CollectorRegistry], Awaitable[bytes]]


def process_registry() -> CollectorRegistry:
    """The collectors that every process has."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(BuildCollector())
    return registry


def route(registry: CollectorRegistry, blocking: Blocking, summary: str) -> Route:
    """`blocking` runs a call on a thread: collectors may read files, or wait for a lock."""

    async def scrape(request: Request) -> Response:
        # Prometheus accepts both formats, and lists the one that it prefers first.
        if "application/openmetrics-text" in (request.scope.headers.get("accept") or ""):
            return Response(200, await blocking(openmetrics.generate_latest, registry), [_OPENMETRICS])
        return Response(200, await blocking(generate_latest, registry), [_TEXT])

    return Route(
        "GET",
        "/metrics",
        scrape,
        Role.READ,
        summary=summary,
        responses={200: ResponseSpec(None, "Prometheus' text format; OpenMetrics by `Accept`.", media="text/plain")},
    )
