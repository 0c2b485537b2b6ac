"""The metrics of a real server that has something of everything in it."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

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


def scrape(server: RunningServer) -> dict[str, Metric]:
    """Every family by the name of its TYPE line, which for a counter ends in `_total`."""
    with server.client() as client:
        response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = list(text_string_to_metric_families(response.text))
    families = {family.name + ("_total" if family.type == "counter" else ""): family for family in found}
    assert len(families) == len(found), "a family is exported twice"
    return families
