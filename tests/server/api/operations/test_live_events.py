"""`/api/metrics` counts events that came in by the events API."""

import threading
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from forebay.server.broadcast.shapes import Metrics
from support.harness import RunningServer, wait_for

GOOD = {"type": "user_action", "source": "web_app", "data": {"user_id": "12345"}}
BAD = {"type": "user_action", "source": "web_app"}
WINDOW_SECONDS = 3


@pytest.fixture
def running(server: Callable[..., RunningServer]) -> RunningServer:
    return server()


def metrics(client: httpx.Client) -> Metrics:
    return msgspec.json.decode(client.get("/api/metrics").raise_for_status().content, type=Metrics)


def post(client: httpx.Client, path: str, body: Any, **headers: str) -> int:
    return client.post(path, json=body, headers=headers).status_code


def settled(client: httpx.Client) -> Metrics:
    """Figures are shared for 50 ms: those of after whatever was answered before this call."""
    first = metrics(client)
    wait_for("new figures", lambda: metrics(client).timestamp > first.timestamp)
    return metrics(client)


def test_events_count_by_themselves_and_in_batches(running: RunningServer) -> None:
    with running.client() as client:
        assert post(client, "/api/events", GOOD) == 200
        assert post(client, "/api/events/batch", [GOOD] * 8) == 200
        shown = settled(client)
        assert shown.throughput.total_events == 9
        assert shown.throughput.events_per_second == pytest.approx(9 / WINDOW_SECONDS)
        assert shown.throughput.batches_per_second == pytest.approx(2 / WINDOW_SECONDS)
        assert 0 < shown.latency.p50_processing_time <= shown.latency.p99_processing_time
        assert (shown.errors.total_errors, shown.errors.error_rate) == (0, 0.0)
        assert shown.system.queue_depth == 0


def test_bad_events_are_validation_errors_each(running: RunningServer) -> None:
    with running.client() as client:
        assert post(client, "/api/events/batch", [GOOD, BAD, GOOD, BAD]) == 200
        assert post(client, "/api/events", BAD) == 400
        assert post(client, "/api/events/batch", [BAD, BAD]) == 400
        shown = settled(client)
        assert shown.throughput.total_events == 2
        assert shown.errors.total_errors == 5
        assert shown.errors.errors_by_type.validation_error == 5
        assert shown.errors.error_rate == pytest.approx(5 / 7)


def test_a_repeat_counts_nothing_again(running: RunningServer) -> None:
    with running.client() as client:
        for _ in range(3):
            assert post(client, "/api/events/batch", [GOOD, BAD], **{"Idempotency-Key": "k"}) == 200
        assert post(client, "/api/events/batch", [BAD, GOOD], **{"Idempotency-Key": "k"}) == 422
        shown = settled(client)
        assert (shown.throughput.total_events, shown.errors.errors_by_type.validation_error) == (1, 2)
        assert shown.errors.errors_by_type.processing_error == 0


@pytest.mark.slow
def test_rates_fall_to_zero_when_nothing_comes_and_totals_stay(running: RunningServer) -> None:
    with running.client() as client:
        assert post(client, "/api/events/batch", [GOOD] * 30 + [BAD]) == 200
        assert settled(client).throughput.events_per_second == pytest.approx(10)
        wait_for("the end of the window", lambda: metrics(client).throughput.events_per_second == 0, WINDOW_SECONDS + 2)
        shown = metrics(client)
        assert (shown.throughput.batches_per_second, shown.errors.error_rate) == (0, 0)
        assert (shown.throughput.total_events, shown.errors.total_errors) == (30, 1)
        assert shown.latency.p99_processing_time > 0


def test_a_reset_begins_anew_and_stored_events_stay(running: RunningServer) -> None:
    with running.client() as client:
        assert post(client, "/api/events/batch", [GOOD] * 10 + [BAD]) == 200
        assert client.post("/api/reset").status_code == 200
        shown = metrics(client)
        assert (shown.throughput.total_events, shown.throughput.events_per_second) == (0, 0)
        assert (shown.errors.total_errors, shown.errors.error_rate) == (0, 0)
        assert (shown.latency.avg_processing_time, shown.latency.p99_processing_time) == (0, 0)
        assert post(client, "/api/events", GOOD) == 200
        assert settled(client).throughput.total_events == 1
    assert len(running.records("events")) == 11


def test_a_reader_at_100_hertz_sees_totals_that_only_grow_and_end_right(running: RunningServer) -> None:
    senders, each = 4, 50

    def send() -> None:
        with running.client() as client:
            for _request in range(each):
                assert post(client, "/api/events/batch", [GOOD] * 20) == 200

    threads = [threading.Thread(target=send) for _sender in range(senders)]
    for thread in threads:
        thread.start()
    expected = senders * each * 20
    last = 0

    with running.client() as client:

        def all_counted() -> bool:
            nonlocal last
            shown = metrics(client).throughput
            assert last <= shown.total_events <= expected
            assert shown.events_per_second * WINDOW_SECONDS <= expected + 0.5
            last = shown.total_events
            return last == expected

        wait_for("every event", all_counted)
    for thread in threads:
        thread.join()
