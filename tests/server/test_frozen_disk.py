"""A disk that stands still: whatever needs it not is served at once, and whatever does is refused in time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, batch, event, wait_for
from support.small_disk import FreezableDisk, freezable_disk

pytestmark = pytest.mark.slow

ACK_SECONDS = 1.0
SENDERS = 12
HEALTH_SECONDS = 0.05
"""Within which the server says that it lives; the fastest of several tries, as the machine may be busy."""


@pytest.fixture
def disk() -> Iterator[FreezableDisk]:
    with freezable_disk() as made:
        yield made


@pytest.fixture
def running(disk: FreezableDisk, tmp_path: Path) -> Iterator[RunningServer]:
    settings = {"journal_file_bytes": 1 << 20, "ring_bytes": 8 << 20, "ack_timeout_seconds": ACK_SECONDS}
    started = RunningServer(disk.place / "data", auth=True, **settings)
    started.move_log(tmp_path / "server.log")
    yield started.start()
    started.stop()


class Sender(threading.Thread):
    """Sends batches one after the other, and keeps what became of them."""

    def __init__(self, running: RunningServer, name: str, stop: threading.Event, *, chunked: bool) -> None:
        super().__init__(daemon=True)
        self.running, self.label, self.ended, self.chunked = running, name, stop, chunked
        self.acknowledged: list[str] = []
        self.refused: list[tuple[int, float, str]] = []

    def run(self) -> None:
        number = 0
        with self.running.client() as client:
            while not self.ended.is_set():
                number += 1
                name = f"{self.label}-{number}"
                body = batch(event(name))
                began = time.monotonic()
                response = client.post("/v1/drain", content=iter([body]) if self.chunked else body)
                if response.status_code == 202:
                    self.acknowledged.append(name)
                else:
                    self.refused.append((response.status_code, time.monotonic() - began, response.text))


def fastest(client: httpx.Client, path: str, status: int = 200) -> float:
    took = []
    for _ in range(20):
        began = time.monotonic()
        assert client.get(path).status_code == status
        took.append(time.monotonic() - began)
    return min(took)


def test_a_frozen_disk_stops_nothing_but_what_is_to_be_stored(disk: FreezableDisk, running: RunningServer) -> None:
    stop = threading.Event()
    senders = [Sender(running, f"s{index}", stop, chunked=index % 2 == 1) for index in range(SENDERS)]
    for sender in senders:
        sender.start()
    wait_for("acknowledgements both ways", lambda: all(sender.acknowledged for sender in senders))
    with disk.frozen(), running.client() as client:
        wait_for("everybody's refusal", lambda: all(len(sender.refused) > 1 for sender in senders))
        # The first of their kind: neither of these streams has seen an event.
        for path, body in (
            ("/api/events", {"type": "user_action", "source": "web_app", "data": {}}),
            ("/v1/analytics/track", {"event": {"type": "page_view"}, "user": {"id": "u"}}),
        ):
            began = time.monotonic()
            assert client.post(path, content=json.dumps(body)).status_code in (429, 500, 503)
            assert time.monotonic() - began < ACK_SECONDS + 10
        for path in ("/health", "/readyz", "/v1/healthz"):
            assert fastest(client, path) < HEALTH_SECONDS, path
        assert client.get("/metrics").status_code == 200
        report = client.get("/api/health").json()
        assert report["status"] == "unhealthy", report
        for sender in senders:
            for status, _took, text in sender.refused:
                assert status in (429, 503), text
                assert status == 429 or "Idempotency-Key" in text, text
    before = [len(sender.acknowledged) for sender in senders]
    wait_for(
        "acknowledgements again",
        lambda: all(len(sender.acknowledged) > count for sender, count in zip(senders, before, strict=True)),
    )
    stop.set()
    for sender in senders:
        sender.join()
    names = {name for sender in senders for name in sender.acknowledged}
    stored = [record["value"]["message"] for record in running.records()]
    assert names <= set(stored)
    assert len(stored) == len(set(stored))
    with running.client() as client:
        wait_for("good health", lambda: client.get("/readyz").status_code == 200)
    assert running.terminate() == 0


def test_one_token_leaves_half_of_the_ring_to_others(disk: FreezableDisk, running: RunningServer) -> None:
    store = TokenStore(running.data_dir)
    greedy, modest = ({"authorization": store.create(name, ["ingest"])} for name in ("greedy", "modest"))
    body = json.dumps({"value": "x" * (300 << 10)})

    def publish(headers: dict[str, str], stream: str) -> tuple[int, str]:
        url = f"{running.url}/api/v1/streams/{stream}/events"
        response = httpx.post(url, content=body, headers=headers, timeout=60.0)
        return response.status_code, response.text

    with running.client() as client:
        for name in ("a", "b", "c"):
            made = client.post("/api/v1/streams", content=json.dumps({"name": name, "partitions": 1}))
            assert made.status_code == 201
    wait_for("the tokens to be known", lambda: {publish(headers, "c")[0] for headers in (greedy, modest)} == {201})
    with disk.frozen(), ThreadPoolExecutor(SENDERS) as threads:
        # More than the ring holds, in two streams, each of which may have half of it.
        answers = list(threads.map(lambda number: publish(greedy, "ab"[number % 2]), range(5 * SENDERS)))
        other = [publish(modest, "c")[0] for _ in range(3)]
    assert {status for status, _text in answers} == {429, 503}, answers
    refusals = [text for status, text in answers if status == 429]
    assert any("greedy" in text and "half of the ring" in text for text in refusals), refusals
    assert other == [503] * 3, "the other half is taken in, though it cannot be acknowledged meanwhile"
