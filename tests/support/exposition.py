"""The metrics of a real server that has something of everything in it."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from forebay.cache.redis.connection import Connection
from forebay.cache.redis.layout import Layout
from forebay.cache.redis.redis_cache import RedisCache
from forebay.server.telemetry import ReaderCollector
from support.harness import RunningServer, batch, event

GROUP = "readers"


def busy_server(directory: Path) -> RunningServer:
    """A server with a token, streams, a consumer group, a processor, a Redis, and requests of every outcome behind
    it."""
    # No Redis is there: what a server counts of one is exported all the same.
    server = RunningServer(directory / "data", auth=True, cache="redis://127.0.0.1:1").start()
    with server.client() as client:
        for key in ("one", "one"):
            response = client.post("/v1/drain", content=batch(event(), event()), headers={"idempotency-key": key})
            assert response.status_code == 202
        one = {"type": "click", "source": "web", "data": {}}
        assert client.post("/api/events", json=one).status_code == 200
        assert client.post("/api/events/batch", json=[one, {"type": 1}]).status_code == 200
        assert client.post("/v1/drain", content=b"{").status_code == 400
        definition = {
            "name": "large",
            "source": "events",
            "operations": [{"type": "filter", "predicate": "value.data.size > 5"}],
            "sink": "large-events",
        }
        assert client.post("/api/v1/processors", json=definition).status_code == 201
        reader: dict[str, str | int] = {"consumerGroup": GROUP, "autoCommit": "true", "limit": 1}
        consumed = client.get("/api/v1/streams/logs/events", params=reader)
        assert consumed.status_code == 200, consumed.text
    return server


def of_a_cache_process() -> dict[str, Metric]:
    """What `forebay cache` has beside the figures of every process."""
    registry = CollectorRegistry()
    registry.register(ReaderCollector(RedisCache(Connection("redis://127.0.0.1:1"), Layout())))
    return families(generate_latest(registry).decode())


def scrape(server: RunningServer) -> dict[str, Metric]:
    """Every family by the name of its TYPE line, which for a counter ends in `_total`."""
    with server.client() as client:
        response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return families(response.text)


def families(text: str) -> dict[str, Metric]:
    found = list(text_string_to_metric_families(text))
    named = {family.name + ("_total" if family.type == "counter" else ""): family for family in found}
    assert len(named) == len(found), "a family is exported twice"
    return named
