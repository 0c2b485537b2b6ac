"""A disk that fills up: a small tmpfs, mounted for the test, which takes root; skipped where that is not allowed."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from forebay._forebay import Engine
from forebay.errors import ForebayError, Saturated, StorageUnavailable
from forebay.server.http.ingest import INGEST_ROUTES
from support.harness import RunningServer, batch, event, wait_for
from support.small_disk import fill, small_disk

pytestmark = pytest.mark.slow

Server = Callable[..., RunningServer]

SETTINGS: dict[str, Any] = {"journal_file_bytes": 1 << 20, "ring_bytes": 8 << 20}
PADDING = 8_000


@pytest.fixture
def disk() -> Iterator[Path]:
    with small_disk() as place:
        yield place


@pytest.fixture
def small(disk: Path, tmp_path: Path) -> Iterator[Server]:
    """Starts servers on the small disk, one after the other."""
    started: list[RunningServer] = []

    def start(**settings: Any) -> RunningServer:
        running = RunningServer(disk / "data", **SETTINGS, **settings)
        # Its own log would otherwise stand on the full disk.
        running.move_log(tmp_path / "server.log")
        started.append(running)
        return running.start()

    yield start
    for running in started:
        running.stop()


class Acknowledged:
    """Sends batches and keeps the names of those that were acknowledged."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._number = 0

    def send(self, client: httpx.Client) -> httpx.Response:
        self._number += 1
        # Random, so that sealing it frees no space.
        body = batch(*(event(f"n{self._number}-{part} {os.urandom(PADDING).hex()}") for part in range(4)))
        response = client.post("/v1/drain", content=body)
        if response.status_code == 202:
            self.names += [f"n{self._number}-{part}" for part in range(4)]
        return response

    def until_refused(self, running: RunningServer) -> httpx.Response:
        deadline = time.monotonic() + 120
        with running.client() as client:
            while time.monotonic() < deadline:
                response = self.send(client)
                if response.status_code == 503:
                    return response
                assert response.status_code in (202, 429), response.text
        raise AssertionError("the disk is full and nothing was refused")

    def until_accepted(self, running: RunningServer) -> None:
        with running.client() as client:
            wait_for("writing again", lambda: self.send(client).status_code == 202, 20)


def stored(running: RunningServer) -> list[str]:
    return [name for page in running.pages(limit=500) for name in re.findall(r'"message": "(n\d+-\d) ', page)]


def check_kept(running: RunningServer, sent: Acknowledged) -> None:
    found = stored(running)
    assert len(found) == len(set(found))
    assert set(found) == set(sent.names)


def test_a_full_disk_refuses_writes_and_nothing_else(small: Server, disk: Path) -> None:
    running, sent = small(), Acknowledged()
    with running.client() as client:
        for _ in range(100):
            assert sent.send(client).status_code == 202
    ballast = fill(disk)
    refused = sent.until_refused(running)
    assert refused.json()["code"] == "storage_unavailable"
    assert refused.headers["retry-after"] == "1"
    assert "Traceback" not in refused.text
    with running.client() as client:
        assert client.get("/health").status_code == 200
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert client.get("/metrics").status_code == 200
        # A bad batch is still told what is wrong with it, or that the storage is full: never a 500.
        assert client.post("/v1/drain", content=b"{").status_code in (400, 503)
        one = client.post("/api/events", json={"type": "a", "source": "s", "data": {}})
        assert (one.status_code, list(one.json()), one.headers["retry-after"]) == (503, ["success", "error"], "1")
        tracked = client.post("/v1/analytics/track", json={"event": {"type": "a"}})
        assert (tracked.status_code, tracked.json()["code"]) == (500, "publish_failed")
        assert tracked.headers["retry-after"] == "1"
    check_kept(running, sent)
    ballast.unlink()
    sent.until_accepted(running)
    with running.client() as client:
        wait_for("readiness", lambda: client.get("/readyz").status_code == 200, 10)
        for _ in range(50):
            assert sent.send(client).status_code == 202
    check_kept(running, sent)
    running.kill()
    check_kept(small(), sent)


def test_a_kill_on_a_full_disk_loses_nothing_and_the_start_succeeds(small: Server, disk: Path) -> None:
    running, sent = small(), Acknowledged()
    with running.client() as client:
        for _ in range(60):
            assert sent.send(client).status_code == 202
    ballast = fill(disk)
    sent.until_refused(running)
    running.kill()
    running = small()
    check_kept(running, sent)
    ballast.unlink()
    sent.until_accepted(running)
    check_kept(running, sent)


class Ended:
    """The future of one request to an engine in this process."""

    def __init__(self) -> None:
        self.outcome: tuple[int, bytes] | Exception | None = None

    def set_result(self, result: tuple[int, bytes]) -> None:
        self.outcome = result

    def set_exception(self, exception: Exception) -> None:
        self.outcome = exception

    def cancelled(self) -> bool:
        return False


def submit(engine: Engine, body: bytes) -> tuple[int, bytes] | Exception:
    """The outcome of one request."""
    ended = Ended()
    try:
        engine.submit(INGEST_ROUTES["drain"], body, ended)
    except ForebayError as error:
        return error

    def is_over() -> bool:
        engine.drain_completions()
        return ended.outcome is not None

    wait_for("an outcome", is_over)
    assert ended.outcome is not None
    return ended.outcome


def test_retention_goes_on_and_makes_room(disk: Path) -> None:
    """On the engine itself, because the server's settings allow no retention of seconds."""
    engine = Engine(str(disk / "data"), {**SETTINGS, "logs_retention_ms": 4000})
    try:
        bodies = [batch(*(event(os.urandom(PADDING).hex()) for _ in range(4))) for _ in range(20)]
        for number in range(300):
            assert isinstance(submit(engine, bodies[number % 20]), tuple | Saturated)
        fill(disk)
        outcomes = (submit(engine, bodies[number % 20]) for number in range(1000))
        assert any(isinstance(outcome, StorageUnavailable) for outcome in outcomes)
        before = os.statvfs(disk).f_bavail
        # Nobody deletes the ballast: the room comes from what retention deletes.
        wait_for("writing again", lambda: isinstance(submit(engine, bodies[0]), tuple), 20)
        assert os.statvfs(disk).f_bavail > before
        partitions = engine.stream("logs").partitions
        assert partitions != [(0, end) for _, end in partitions]
    finally:
        engine.close()


def test_the_disk_fills_up_by_itself(small: Server) -> None:
    running, sent = small(), Acknowledged()
    refused = sent.until_refused(running)
    assert refused.json()["code"] == "storage_unavailable"
    check_kept(running, sent)
    running.kill()
    check_kept(small(), sent)


def test_a_start_on_a_full_disk_with_a_shorter_retention_makes_room(small: Server, disk: Path) -> None:
    running, sent = small(), Acknowledged()
    sent.until_refused(running)
    fill(disk)
    running.kill()
    for _ in range(2):
        running = small()
        check_kept(running, sent)
        running.terminate()
    fill(disk)
    running = small(logs_retention_bytes=8 << 20)
    # Nobody deletes anything else: the room comes from what retention deletes.
    sent.until_accepted(running)
    assert set(stored(running)) < set(sent.names)


def test_offset_commits_on_a_full_disk_leave_deletions_their_room(small: Server, disk: Path) -> None:
    """Committers that go on and on use nothing of what is kept for deletions: a stream can be deleted, a retention
    shortened, and that is how the disk gets room again."""
    running, sent = small(), Acknowledged()
    with running.client() as client:
        for name in ("gone", "kept"):
            client.post("/api/v1/streams", json={"name": name, "partitions": 1}).raise_for_status()

            def is_sealed(name: str = name) -> bool:
                client.post(f"/api/v1/streams/{name}/events", json={"value": os.urandom(100_000).hex()})
                return bool(client.get(f"/api/v1/streams/{name}").json()["totalSize"] > 2 << 20)

            wait_for(f"segments of {name}", is_sealed, 30)
        client.get("/api/v1/streams/kept/events", params={"consumerGroup": "g", "limit": 1}).raise_for_status()
        fill(disk)
        sent.until_refused(running)

        def commit(offset: int) -> int:
            offsets = [{"stream": "kept", "partition": 0, "offset": offset}]
            body = {"offsets": offsets, "force": True}
            return client.post("/api/v1/consumers/g/commit", json=body).status_code

        statuses = [commit(number % 2) for number in range(1000)]
        assert set(statuses) <= {200, 503}
        assert statuses[-1] == 503
        assert client.delete("/api/v1/streams/gone").status_code == 200
        shorter = client.patch("/api/v1/streams/kept", json={"config": {"retentionBytes": 1}})
        assert shorter.status_code == 200, shorter.text
        wait_for("expiry", lambda: client.get("/api/v1/streams/kept").json()["partitionDetails"][0]["startOffset"] > 0)
    # Nobody deletes the ballast: the room comes from what was deleted.
    sent.until_accepted(running)
    check_kept(running, sent)
    running.kill()
    check_kept(small(), sent)
