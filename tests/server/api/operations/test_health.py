import asyncio
import json
import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from forebay.server.api.operations import health
from forebay.server.http.request import Request
from forebay.server.http.response import Response
from forebay.server.services import Services
from support.harness import RunningServer, batch


def test_liveness_and_readiness(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        for path in ("/health", "/v1/healthz"):
            response = client.get(path)
            assert (response.status_code, response.json()) == (200, {"status": "ok"})
        assert client.get("/readyz").status_code == 200
        assert client.head("/health").status_code == 200


@pytest.mark.parametrize(
    ("reason", "status", "shown"),
    [
        (None, 200, {"status": "ready", "durability": "fsync"}),
        ("views are being counted", 503, {"status": "unavailable", "reason": "views are being counted"}),
    ],
)
def test_readiness_waits_for_what_else_must_run(reason: str | None, status: int, shown: dict[str, Any]) -> None:
    services = SimpleNamespace(
        stopping=SimpleNamespace(is_set=lambda: False),
        engine=SimpleNamespace(status=lambda: {"mode": "running"}),
        settings=SimpleNamespace(durability="fsync"),
    )
    (ready,) = (route for route in health.routes(cast(Services, services), lambda: reason) if route.path == "/readyz")

    async def ask() -> Response:
        return cast(Response, await ready.answer(cast(Request, None)))

    answered = asyncio.run(ask())
    assert (answered.status, json.loads(answered.body)) == (status, shown)


def test_metrics_parse_and_count(shared_server: RunningServer) -> None:
    assert shared_server.drain(batch()).status_code == 202
    with shared_server.client() as client:
        response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert "process_resident_memory_bytes" in families
    assert families["forebay_http_body_bytes"].samples[0].value == 0
    own = [name for name in families if name.startswith("forebay_")]
    assert len(own) > 3
    for name in own:
        assert re.fullmatch(r"[a-z0-9_]+", name)
        assert families[name].documentation
    for name, family in families.items():
        if family.type == "histogram":
            counts = [s.value for s in family.samples if s.name.endswith("_bucket")]
            assert counts == sorted(counts), name
