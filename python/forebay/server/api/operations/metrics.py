"""`GET /metrics` of the server: counters of the engine and the process. Names follow
https://prometheus.io/docs/practices/naming/; no label has values without bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from forebay.server.api.operations.exposition import process_registry, route
from forebay.server.telemetry import (
    OTHERS,
    DiskCollector,
    GroupCollector,
    ProcessorCollector,
    PublisherCollector,
    StreamCollector,
)

if TYPE_CHECKING:
    from forebay._forebay import Engine
    from forebay.server.http.auth import Authenticator
    from forebay.server.http.router import Route
    from forebay.server.services import Services

MAX_TOKEN_LABELS = 1000
"""The most tokens with series of their own, three each; the others are summed up. Unused tokens have no series."""


class EngineCollector(Collector):
    """Reads the engine's counters on each scrape; Python counts nothing itself."""

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
    """Connections and request bodies under way, with their limits."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        memory_budget = self._services.memory_budget
        yield GaugeMetricFamily("forebay_http_body_bytes", "Bytes of request bodies under way.", memory_budget.used)
        yield GaugeMetricFamily(
            "forebay_http_body_limit_bytes",
            "The most bytes of request bodies that may be under way.",
            memory_budget.limit,
        )
        limit = self._services.settings.max_connections
        yield GaugeMetricFamily("forebay_http_max_connections", "The most connections that are served at once.", limit)
        if self._services.front is None:
            return
        direct, tunnels, requests = self._services.front.stats()
        yield GaugeMetricFamily("forebay_http_ingest_requests", "Ingest requests under way in the front.", requests)
        connections = GaugeMetricFamily(
            "forebay_http_connections", "Open connections, by what serves them.", labels=["served_by"]
        )
        connections.add_metric(["front"], direct)
        connections.add_metric(["python"], tunnels)
        yield connections
        yield GaugeMetricFamily("forebay_http_websockets", "WebSockets that are open.", len(self._services.websockets))


class TokenCollector(Collector):
    """Events and bytes accepted per token, and refusals for its quota."""

    _ROWS = (
        ("forebay_token_events", "Events that were let in, by token."),
        ("forebay_token_bytes", "Bytes of decompressed bodies that were let in, by token."),
        ("forebay_token_refusals", "Requests that were refused for a quota, by token."),
    )

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def collect(self) -> Iterator[Metric]:
        used = sorted((limiter.name, limiter.usage()) for limiter in self._authenticator.limiters())
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


def routes(services: Services) -> list[Route]:
    registry = process_registry()
    registry.register(DiskCollector(services.settings.data_dir))
    registry.register(EngineCollector(services.engine))
    registry.register(StreamCollector(services.engine))
    registry.register(GroupCollector(services.engine))
    registry.register(ProcessorCollector(services.engine))
    registry.register(RequestCollector(services))
    registry.register(TokenCollector(services.authenticator))
    if services.views.publisher is not None:
        registry.register(PublisherCollector(services.views.publisher))
    return [route(registry, services.blocking, "Counters of the engine and the process.")]
