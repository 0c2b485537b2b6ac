"""More than 10,000 generated bad requests against one server: each is refused naming the place, nothing is stored, the
server stays well and its memory bounded.

FOREBAY_HOSTILE_CASES and FOREBAY_HOSTILE_SEED run more, or others.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hostile.corpus import PLACES, Case, cases
from hostile.sending import answered
from support.harness import RunningServer, batch, event, resident_bytes

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("FOREBAY_HOSTILE_CASES", "12000"))
SEED = int(os.environ.get("FOREBAY_HOSTILE_SEED", "20261121"))
CONNECTIONS = 8
GROWTH_BYTES = 96 << 20
"""Two workers may each hold an inflated body of 16 MiB and what it was read into; the allocator keeps some of that."""


def place_of(body: bytes) -> str:
    """The message of an answer in any family's envelope."""
    shape = json.loads(body)
    error = shape["error"]
    return str(error.get("detail", error.get("message"))) if isinstance(error, dict) else str(error)


def check(case: Case, number: int, status: int, body: bytes) -> None:
    what = f"case {number} of seed {SEED}, {case.name}: {status} {body[:200]!r} for {case.request[:300]!r}"
    assert status in case.statuses, what
    if not case.request.startswith(b"HEAD "):
        message = place_of(body)
        assert any(place in message for place in PLACES), what
        assert len(message) < 1000, what


def test_a_case_depends_on_the_seed_alone() -> None:
    assert [case.request for case in cases(1, 300)] == [case.request for case in cases(1, 300)]
    assert len({case.request for case in cases(1, 3000)}) > 2000


def test_ten_thousand_bad_requests(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data").start()
    try:
        run(server)
    finally:
        server.stop()


def run(server: RunningServer) -> None:
    assert COUNT >= 10_000
    settled = 0
    for number, case, status, body in answered(server, cases(SEED, COUNT), CONNECTIONS, SEED):
        check(case, number, status, body)
        if number == COUNT // 4:
            settled = resident_bytes(server.pid)
    assert server.records() == []
    assert resident_bytes(server.pid) - settled < GROWTH_BYTES
    assert server.drain(batch(event("well"))).status_code == 202
    assert [record["value"]["message"] for record in server.records()] == ["well"]
    with server.client() as client:
        assert client.get("/readyz").status_code == 200
    assert [line for line in server.log_lines() if line["level"] not in ("info", "warning")] == []
    assert server.terminate() == 0
