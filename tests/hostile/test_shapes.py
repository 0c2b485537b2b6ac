"""Thousands of generated bad requests to the events and analytics APIs: each is refused in its family's envelope naming
the place, and nothing is stored."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hostile.corpus import Case
from hostile.sending import answered
from hostile.shapes import cases
from support.harness import RunningServer

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("FOREBAY_HOSTILE_CASES", "6000"))
SEED = int(os.environ.get("FOREBAY_HOSTILE_SEED", "20261122"))
CONNECTIONS = 4
GOOD_EVENT = {"type": "a", "source": "well", "data": {}}
GOOD_TRACK = {"event": {"type": "a"}, "user": {"id": "well"}}


def check(case: Case, number: int, status: int, body: bytes) -> None:
    what = f"case {number} of seed {SEED}, {case.name}: {status} {body[:200]!r} for {case.request[:300]!r}"
    assert status in case.statuses, what
    shape = json.loads(body)
    analytics = case.request.startswith(b"POST /v1/analytics")
    assert ("code" in shape) == analytics, what
    assert analytics or shape["success"] is False, what
    assert 0 < len(shape["error"]) < 1000, what


def test_a_case_depends_on_the_seed_alone() -> None:
    assert [case.request for case in cases(1, 300)] == [case.request for case in cases(1, 300)]
    assert len({case.request for case in cases(1, 3000)}) > 2000


def test_thousands_of_bad_requests(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data").start()
    try:
        run(server)
    finally:
        server.stop()


def run(server: RunningServer) -> None:
    assert COUNT >= 5000
    for number, case, status, body in answered(server, cases(SEED, COUNT), CONNECTIONS, SEED):
        check(case, number, status, body)
    with server.client() as client:
        assert client.post("/api/events", json=GOOD_EVENT).status_code == 200
        assert client.post("/v1/analytics/track", json=GOOD_TRACK).status_code == 202
        assert client.get("/readyz").status_code == 200
    for stream in ("events", "analytics"):
        assert [record["key"] for record in server.records(stream)] == ["well"]
    assert [line for line in server.log_lines() if line["level"] not in ("info", "warning")] == []
    assert server.terminate() == 0
