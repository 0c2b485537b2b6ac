"""The number of processing instances over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from forebay._forebay import Engine
from support.harness import RunningServer, batch, event, wait_for

pytestmark = pytest.mark.slow

LARGE = batch(*(event("x" * 200) for _ in range(50)))
"""Beyond what is parsed where it comes in."""


def scale(server: RunningServer, body: bytes) -> httpx.Response:
    with server.client() as client:
        return client.post("/api/scale", content=body)


def workers(server: RunningServer) -> int:
    with server.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("forebay_ingest_workers "))))


def test_the_number_is_in_force_and_outlives_a_kill(server: Callable[..., RunningServer]) -> None:
    running = server(workers=3)
    assert workers(running) == 3
    answer = scale(running, b'{"instances":10}')
    assert (answer.status_code, answer.json()) == (
        200,
        {"success": True, "message": "Scaled to 10 processing instances"},
    )
    assert workers(running) == 10
    with running.client() as client:
        assert client.get("/api/metrics").json()["system"]["processingInstances"] == 10
    running.kill()
    again = server(workers=3)
    assert workers(again) == 10, "the stored number goes before the setting"
    assert scale(again, b'{"instances":1}').status_code == 200
    wait_for("the surplus workers' ends", lambda: workers(again) == 1)
    with again.client() as client:
        assert client.post("/v1/drain", content=LARGE).status_code == 202


def test_whoever_looks_next_sees_the_new_number(shared_server: RunningServer) -> None:
    """However soon, and whoever looked just before: `/api/metrics` shares its figures for a moment."""
    with shared_server.client() as client:

        def shown() -> int:
            return int(client.get("/api/metrics").raise_for_status().json()["system"]["processingInstances"])

        for instances in [5, 2] * 10:
            shown()
            client.post("/api/scale", json={"instances": instances}).raise_for_status()
            assert shown() == instances


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"10",
        b"{}",
        b'{"instances":0}',
        b'{"instances":65}',
        b'{"instances":-1}',
        b'{"instances":1.5}',
        b'{"instances":"10"}',
        b'{"instances":null}',
        b'{"instances":true}',
        b'{"instances":10,"more":1}',
        b'{"instances":99999999999999999999999}',
    ],
)
def test_anything_but_1_to_64_is_refused(shared_server: RunningServer, body: bytes) -> None:
    before = workers(shared_server)
    answer = scale(shared_server, body)
    refusal = answer.json()
    assert (answer.status_code, set(refusal), refusal["success"]) == (400, {"success", "error"}, False)
    assert workers(shared_server) == before


def test_a_log_that_cannot_be_written_is_not_scaled(tmp_path: Path) -> None:
    directory = str(tmp_path / "data")
    Engine(directory, {}).close()
    engine = Engine(directory, {"read_only": True})
    with pytest.raises(Exception, match="read-only") as refused:
        engine.scale(3)
    assert getattr(refused.value, "http_status", None) == 503
    engine.close()
