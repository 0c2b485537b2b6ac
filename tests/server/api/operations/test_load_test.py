"""The load test over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from support.harness import RunningServer, wait_for

PATH = "/api/load-test"
TYPES = {"user_action", "page_view", "purchase", "signup", "login", "api_call", "system_event", "error_event"}
SETTLED = ("acceptedEvents", "rejectedEvents", "failedEvents", "notSentEvents", "inFlightEvents")


@pytest.fixture
def client(server: Callable[..., RunningServer]) -> Iterator[httpx.Client]:
    with server().client() as client:
        yield client


def start(client: httpx.Client, rate: int, seconds: int) -> httpx.Response:
    return client.post(PATH, json={"eventsPerSecond": rate, "durationSeconds": seconds})


def progress(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get(PATH).raise_for_status().json()
    assert found["offeredEvents"] == sum(found[name] for name in SETTLED), found
    return found


def finished(client: httpx.Client) -> dict[str, Any]:
    wait_for("the load test's end", lambda: progress(client)["state"] != "running")
    return progress(client)


def stored(client: httpx.Client) -> list[dict[str, Any]]:
    """Every value of the stream `events`."""
    values = []
    stream = client.get("/api/v1/streams/events").raise_for_status().json()
    for part in stream["partitionDetails"]:
        offset = part["startOffset"]
        while offset < part["endOffset"]:
            page = client.get(
                "/api/v1/streams/events/records",
                params={"partition": part["partition"], "offset": offset, "limit": 10_000},
            ).raise_for_status()
            values += [json.loads(line)["value"] for line in page.text.splitlines()]
            offset = int(page.headers["forebay-next-offset"])
    return values


def test_its_events_are_on_the_stream_as_many_as_it_says(client: httpx.Client) -> None:
    assert progress(client)["state"] == "idle"
    answer = start(client, 5000, 2)
    message = "Load test started: 5000 events/sec for 2 seconds"
    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": message})
    report = finished(client)
    assert report["state"] == "finished"
    assert (report["eventsPerSecond"], report["durationSeconds"], report["failure"]) == (5000, 2, None)
    assert (report["offeredEvents"], report["acceptedEvents"]) == (10_000, 10_000)
    assert report["offeredEventsPerSecond"] == pytest.approx(5000, rel=0.05)
    assert report["achievedEventsPerSecond"] == pytest.approx(5000, rel=0.05)
    assert abs(report["startedAt"] / 1000 - time.time()) < 60
    latency = report["latency"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]
    values = stored(client)
    assert len(values) == report["acceptedEvents"]
    assert {value["source"] for value in values} == {"load_test"}
    assert {value["type"] for value in values} == TYPES
    assert len({value["id"] for value in values}) == len(values)


def test_it_counts_in_the_live_figures_and_a_reset_stops_it(client: httpx.Client) -> None:
    start(client, 2000, 1)
    report = finished(client)
    live = client.get("/api/metrics").raise_for_status().json()
    assert live["throughput"]["totalEvents"] == report["acceptedEvents"] == 2000
    assert live["latency"]["p50ProcessingTime"] == pytest.approx(report["latency"]["p50"], rel=0.5)
    start(client, 100, 3600)
    assert client.post("/api/reset").status_code == 200
    assert progress(client)["state"] == "stopped"
    assert len(stored(client)) >= 2000


def test_one_at_a_time_until_it_is_stopped(client: httpx.Client) -> None:
    assert start(client, 1000, 3600).status_code == 200
    refused = start(client, 1, 1)
    assert (refused.status_code, refused.json()["success"]) == (409, False)
    assert "a load test of 1000 events/s for 3600 s is running" in refused.json()["error"]
    wait_for("some events", lambda: bool(progress(client)["acceptedEvents"] > 100))
    assert client.delete(PATH).json() == {"success": True, "message": "Load test stopped"}
    assert progress(client)["state"] == "stopped"
    wait_for("the last answers", lambda: progress(client)["inFlightEvents"] == 0)
    report = progress(client)
    assert len(stored(client)) == report["acceptedEvents"]
    assert client.delete(PATH).json() == {"success": True, "message": "No load test was running"}
    assert start(client, 1, 1).status_code == 200


@pytest.mark.slow
def test_a_server_that_stops_ends_it_and_keeps_what_was_acknowledged(server: Callable[..., RunningServer]) -> None:
    running = server()
    with running.client() as client:
        start(client, 20_000, 3600)
        wait_for("some events", lambda: bool(progress(client)["acceptedEvents"] > 5000))
        accepted = progress(client)["acceptedEvents"]
    assert running.terminate() == 0
    with server().client() as client:
        assert progress(client)["state"] == "idle"
        assert len(stored(client)) >= accepted


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"eventsPerSecond":5000}',
        b'{"eventsPerSecond":0,"durationSeconds":30}',
        b'{"eventsPerSecond":1000001,"durationSeconds":30}',
        b'{"eventsPerSecond":5000,"durationSeconds":0}',
        b'{"eventsPerSecond":5000,"durationSeconds":3601}',
        b'{"eventsPerSecond":0.5,"durationSeconds":30}',
        b'{"eventsPerSecond":"5000","durationSeconds":30}',
        b'{"eventsPerSecond":5000,"durationSeconds":30,"batch":7}',
    ],
)
def test_what_is_out_of_range_starts_nothing(shared_server: RunningServer, body: bytes) -> None:
    with shared_server.client() as client:
        answer = client.post(PATH, content=body)
        refusal = answer.json()
        assert (answer.status_code, set(refusal), refusal["success"]) == (400, {"success", "error"}, False)
        assert progress(client)["state"] == "idle"
