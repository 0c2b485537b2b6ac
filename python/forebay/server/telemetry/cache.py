"""Views in Redis: what a server publishes, and what a process reads."""

from __future__ import annotations

import math
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from forebay.cache.redis.publisher import Publisher, Role
from forebay.cache.redis.redis_cache import RedisCache


class PublisherCollector(Collector):
    """A server's writes."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def collect(self) -> Iterator[Metric]:
        state = self._publisher.state
        yield GaugeMetricFamily(
            "forebay_cache_publishing",
            "1 while this server is the one that publishes views to Redis.",
            state.role is Role.HOLDER,
        )
        yield GaugeMetricFamily(
            "forebay_cache_reachable",
            "1 when Redis did the last of what it was asked.",
            state.reason is None and state.role is not Role.STARTING,
        )
        yield CounterMetricFamily("forebay_cache_commands", "Commands to publish views.", state.commands)
        yield CounterMetricFamily("forebay_cache_failures", "Calls to publish views that failed.", state.failures)
        yield CounterMetricFamily("forebay_cache_published_windows", "Windows that were published.", state.windows)
        yield GaugeMetricFamily("forebay_cache_waiting_windows", "Windows that wait to be published.", state.waiting)
        # So that an alert on it fires also when there was none.
        age = math.inf if state.written_seconds_ago is None else state.written_seconds_ago
        text = "The age of the last write to Redis; infinite before the first."
        yield GaugeMetricFamily("forebay_cache_published_age_seconds", text, age)


class ReaderCollector(Collector):
    """The reads of a process that answers from Redis."""

    def __init__(self, reader: RedisCache) -> None:
        self._reader = reader

    def collect(self) -> Iterator[Metric]:
        reader = self._reader
        yield GaugeMetricFamily("forebay_cache_reachable", "1 when Redis answered the last call.", not reader.problem)
        yield CounterMetricFamily("forebay_cache_calls", "Calls to Redis.", reader.connection.calls)
        yield CounterMetricFamily("forebay_cache_failures", "Calls to Redis that failed.", reader.connection.failures)
        updated = GaugeMetricFamily(
            "forebay_cache_updated_timestamp_seconds", "When a server last published views, since 1970."
        )
        if reader.updated_seconds is not None:
            updated.add_metric([], reader.updated_seconds)
        yield updated
