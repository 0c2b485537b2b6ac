"""`/api/metrics`, its history and the reset, as far as they show without an event."""

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from forebay.server.broadcast.shapes import Metrics
from support.harness import RunningServer, batch, processor_seconds, resident_bytes, run, wait_for

SEED = json.loads(
    '{ "timestamp": 1640995200000, "throughput": { "eventsPerSecond": 1250.5, "batchesPerSecond": 12.3,'
    ' "totalEvents": 1000000 }, "latency": { "avgProcessingTime": 15.2, "p50ProcessingTime": 12.0,'
    ' "p95ProcessingTime": 45.0, "p99ProcessingTime": 89.0 }, "errors": { "errorRate": 0.001, "totalErrors": 1000,'
    ' "errorsByType": { "validation_error": 500, "storage_error": 300, "processing_error": 200 } }, "system":'
    ' { "processingInstances": 5, "queueDepth": 1500, "memoryUsage": 512, "cpuUsage": 65.5 }, "health":'
    ' { "status": "healthy", "uptime": 86400000 } }'
)
"""The contract's own example."""

READERS_HERTZ = 100


def shape(value: Any) -> Any:
    """Names, in their order, and types."""
    if isinstance(value, dict):
        return [(name, shape(inner)) for name, inner in value.items()]
    return type(value).__name__


def metrics(server: RunningServer) -> Metrics:
    with server.client() as client:
        return msgspec.json.decode(client.get("/api/metrics").raise_for_status().content, type=Metrics)


def test_the_shape_is_the_contracts(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        answer = client.get("/api/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert shape(answer.json()) == shape(SEED)
    msgspec.json.decode(answer.content, type=Metrics)


def test_the_contracts_example_is_one(shared_server: RunningServer) -> None:
    decoded = msgspec.convert(SEED, Metrics)
    assert (decoded.throughput.events_per_second, decoded.latency.p99_processing_time) == (1250.5, 89.0)
    assert msgspec.to_builtins(decoded) == SEED


def test_what_the_system_uses_is_real(shared_server: RunningServer) -> None:
    def memory_is_real() -> bool:
        resident = resident_bytes(shared_server.pid) / (1 << 20)
        return abs(metrics(shared_server).system.memory_usage - resident) < 20

    # The figures of a server that has only just started are up to half a second old.
    wait_for("the memory in use", memory_is_real)
    before = metrics(shared_server)
    assert abs(before.timestamp - time.time() * 1000) < 2000
    assert before.system.processing_instances == os.cpu_count()
    assert before.system.queue_depth == 0
    stop = time.monotonic() + 1.5
    while time.monotonic() < stop:
        pass
    # This very process has kept one processor busy.
    wait_for("some load", lambda: metrics(shared_server).system.cpu_usage >= 50 / (os.cpu_count() or 1))
    after = metrics(shared_server)
    assert 0 <= after.system.cpu_usage <= 100
    passed = after.timestamp - before.timestamp
    assert abs((after.health.uptime - before.health.uptime) - passed) < 2000


def test_other_ingestion_is_not_counted(shared_server: RunningServer) -> None:
    assert shared_server.drain(batch()).status_code == 202
    shown = metrics(shared_server)
    assert (shown.throughput.total_events, shown.throughput.events_per_second) == (0, 0.0)


@pytest.mark.parametrize("hours", ["0", "169", "-1", "1.5", "", "all", "1&hours=2"])
def test_hours_out_of_range_are_refused(shared_server: RunningServer, hours: str) -> None:
    with shared_server.client() as client:
        answer = client.get(f"/api/metrics/history?hours={hours}")
    assert answer.status_code == 400
    body = answer.json()
    assert body["success"] is False
    assert "hours" in body["error"]


@pytest.mark.parametrize(("hours", "resolution"), [(None, 10), (1, 10), (24, 10), (25, 60), (168, 60)])
def test_the_resolution_is_named(shared_server: RunningServer, hours: int | None, resolution: int) -> None:
    with shared_server.client() as client:
        answer = client.get("/api/metrics/history", params={} if hours is None else {"hours": hours})
    body = answer.json()
    assert answer.status_code == 200
    assert (body["hours"], body["resolutionSeconds"]) == (hours or 1, resolution)
    assert isinstance(body["points"], list)


def test_a_reset_answers_as_the_contract_shows_and_leaves_the_rest(shared_server: RunningServer) -> None:
    def accepted(text: str) -> list[str]:
        return [line for line in text.splitlines() if line.startswith("forebay_ingest_events_total")]

    assert shared_server.drain(batch()).status_code == 202
    stored = len(shared_server.records())
    with shared_server.client() as client:
        counted = accepted(client.get("/metrics").text)
        answer = client.post("/api/reset")
        assert (answer.status_code, answer.json()) == (
            200,
            {"success": True, "message": "System metrics and state reset"},
        )
        assert accepted(client.get("/metrics").text) == counted
    assert len(shared_server.records()) == stored


def read_at(server: RunningServer, hertz: int, readings: int, path: str = "/api/metrics") -> list[dict[str, Any]]:
    seen = []
    with server.client() as client:
        for _reading in range(readings):
            due = time.monotonic() + 1 / hertz
            seen.append(client.get(path).raise_for_status().json())
            time.sleep(max(0.0, due - time.monotonic()))
    return seen


@pytest.mark.slow
def test_a_reader_at_100_hertz_costs_little(shared_server: RunningServer) -> None:
    """Mostly what its requests cost: the figures are made 20 times a second at most. A busy machine makes both dear."""

    def spent_on(path: str) -> float:
        read_at(shared_server, READERS_HERTZ, 20, path)
        before = processor_seconds(shared_server.pid)
        read_at(shared_server, READERS_HERTZ, 2 * READERS_HERTZ, path)
        return processor_seconds(shared_server.pid) - before

    request, figures = spent_on("/readyz"), spent_on("/api/metrics")
    assert figures < 3 * request + 0.1, (
        f"{figures:.2f} s of processor time, {request:.2f} s for requests without figures"
    )


def test_a_reader_at_100_hertz_is_answered_while_others_ingest(shared_server: RunningServer) -> None:
    ended = threading.Event()
    sent = []

    def ingest() -> None:
        while not ended.is_set():
            sent.append(shared_server.drain(batch()).status_code)

    ingesting = threading.Thread(target=ingest)
    ingesting.start()
    try:
        seen = read_at(shared_server, READERS_HERTZ, READERS_HERTZ)
    finally:
        ended.set()
        ingesting.join()
    assert set(sent) == {202}
    times = [shown["timestamp"] for shown in seen]
    assert times == sorted(times)
    assert all(shape(shown) == shape(SEED) for shown in seen)


@pytest.mark.slow
def test_a_token_of_some_projects_resets_nothing(server: Callable[..., RunningServer]) -> None:
    running = server(auth=True)
    made = run(
        "token", "create", "--name", "some", "--role", "ops", "--project", "mine", "--data-dir", str(running.data_dir)
    )
    assert made.returncode == 0, made.stderr
    secret = next(word for word in made.stdout.split() if word.startswith("fby_"))
    with running.client() as client:

        def refused() -> bool:
            answer = client.post("/api/reset", headers={"authorization": secret})
            # The server looks for new tokens every half second.
            assert answer.status_code in (401, 403)
            return answer.status_code == 403

        wait_for("the new token", refused)
