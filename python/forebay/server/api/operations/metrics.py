"""`GET /metrics`: the engine's own counters and the process, in Prometheus' text format 0.0.4, or OpenMetrics 1.0
for who asks for that. Names follow https://prometheus.io/docs/practices/naming/; no label has values without bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from forebay.server.http.response import Response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.telemetry import OTHERS, BuildCollector, DiskCollector, GroupCollector, StreamCollector

if TYPE_CHECKING:
    from forebay._forebay import Engine
    from forebay.server.app import App
    from forebay.server.http.auth import Authenticator
    from forebay.server.http.request import Request

_TEXT = ("content-type", "text/plain; version=0.0.4; charset=utf-8")
_OPENMETRICS = ("content-type", openmetrics.CONTENT_TYPE_LATEST)

MAX_TOKEN_LABELS = 1000
"""Tokens with series of their own, three each; the rest is summed up. Idle ones have none."""


class EngineCollector(Collector):
    """Reads the engine's counters when scraped; nothing is counted in Python."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        for name, text, kind, samples in self._engine.metrics():
            labels = list(samples[0][0]) if samples else []
            if kind == "histogram":
                histogram = HistogramMetricFamily(name, text, labels=labels)
                for row, value in samples:
                    assert isinstance(value, tuple)
                    bounds, counts, total = value
                    ends = [*map(floatToGoString, bounds), "+Inf"]
                    histogram.add_metric(list(row.values()), list(zip(ends, counts, strict=True)), total)
                yield histogram
                continue
            family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            metric = family(name, text, labels=labels)
            for row, value in samples:
                assert not isinstance(value, tuple)
                metric.add_metric(list(row.values()), value)
            yield metric


class RequestCollector(Collector):
    """The bounds on the HTTP side."""

    def __init__(self, app: App) -> None:
        self._app = app

    def collect(self) -> Iterator[Metric]:
        allowance = self._app.allowance
        yield GaugeMetricFamily("forebay_http_body_bytes", "Bytes of request bodies under way.", allowance.used)
        yield GaugeMetricFamily(
            "forebay_http_body_limit_bytes", "The most bytes of request bodies that may be under way.", allowance.limit
        )
        limit = self._app.settings.max_connections
        yield GaugeMetricFamily("forebay_http_max_connections", "The most connections that are served at once.", limit)
        if self._app.front is None:
            return
        direct, tunnels, requests = self._app.front.stats()
        yield GaugeMetricFamily("forebay_http_ingest_requests", "Ingest requests under way in the front.", requests)
        connections = GaugeMetricFamily(
            "forebay_http_connections", "Open connections, by what serves them.", labels=["served_by"]
        )
        connections.add_metric(["front"], direct)
        connections.add_metric(["python"], tunnels)
        yield connections
        yield GaugeMetricFamily("forebay_http_websockets", "WebSockets that are open.", len(self._app.websockets))


class TokenCollector(Collector):
    """What each token was let in with, and how often it was refused for a quota."""

    _ROWS = (
        ("forebay_token_events", "Events that were let in, by token."),
        ("forebay_token_bytes", "Bytes of decompressed bodies that were let in, by token."),
        ("forebay_token_refusals", "Requests that were refused for a quota, by token."),
    )

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def collect(self) -> Iterator[Metric]:
        used = sorted((account.name, account.usage()) for account in self._authenticator.accounts())
        used = [row for row in used if any(row[1])]
        others = [usage for _name, usage in used[MAX_TOKEN_LABELS:]]
        if others:
            summed = (sum(column) for column in zip(*others, strict=True))
            events, size, refusals = summed
            used[MAX_TOKEN_LABELS:] = [(OTHERS, (events, size, refusals))]
        for column, (name, text) in enumerate(self._ROWS):
            family = CounterMetricFamily(name, text, labels=["token"])
            for token, usage in used:
                family.add_metric([token], usage[column])
            yield family


def routes(app: App) -> list[Route]:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(BuildCollector())
    registry.register(DiskCollector(app.settings.data_dir))
    registry.register(EngineCollector(app.engine))
    registry.register(StreamCollector(app.engine))
    registry.register(GroupCollector(app.engine))
    registry.register(RequestCollector(app))
    registry.register(TokenCollector(app.authenticator))

    async def scrape(request: Request) -> Response:
        # Prometheus names the format that it likes best first, and takes the other one as well.
        if "application/openmetrics-text" in (request.scope.headers.get("accept") or ""):
            return Response(200, await app.blocking(openmetrics.generate_latest, registry), [_OPENMETRICS])
        return Response(200, await app.blocking(generate_latest, registry), [_TEXT])

    return [
        Route(
            "GET",
            "/metrics",
            scrape,
            Role.READ,
            summary="Counters of the engine and the process.",
            responses={
                200: ResponseSpec(None, "Prometheus' text format; OpenMetrics by `Accept`.", media="text/plain")
            },
        )
    ]
