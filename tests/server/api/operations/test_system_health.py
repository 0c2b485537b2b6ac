"""`GET /api/health` on a real server: sound, full, damaged, weakened, stalled."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.server.health.checks.storage import PROBE_FILE
from forebay.server.health.service import SHARED_SECONDS
from server.health.scripted import NAMES
from support.harness import RunningServer, batch, event, wait_for
from support.small_disk import fill, small_disk

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]

AT_ONCE: dict[str, Any] = {"health_recovery_seconds": 0, "health_interval_seconds": 0.2}
"""So that a test need not wait for what is held back from operators."""

SMALL: dict[str, Any] = {"journal_file_bytes": 1 << 20, "ring_bytes": 8 << 20}
NO_DISK_LIMITS: dict[str, Any] = {"health_free_disk_warning_bytes": 0, "health_free_disk_critical_bytes": 0}


def ask(server: RunningServer) -> tuple[int, dict[str, Any]]:
    with server.client() as client:
        answer = client.get("/api/health")
    body: dict[str, Any] = answer.json()
    return answer.status_code, body


def check(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in report["checks"] if row["name"] == name)
    return found


def becomes(server: RunningServer, status: str) -> dict[str, Any]:
    """The first report with that status."""
    latest: dict[str, Any] = {}

    def reached() -> bool:
        latest.update(ask(server)[1])
        return bool(latest["status"] == status)

    try:
        wait_for(f"health {status}", reached)
    except AssertionError:
        raise AssertionError(json.dumps(latest, indent=1)) from None
    return latest


def test_the_shape_is_the_seeds(server: Start) -> None:
    running = server()
    assert running.drain(batch()).status_code == 202
    status, report = ask(running)
    assert (status, report["status"]) == (200, "healthy")
    assert set(report) == {"status", "timestamp", "uptime", "checks", "summary", "durability"}
    assert report["summary"] == {"total": 7, "passing": 7, "warning": 0, "critical": 0}
    assert [row["name"] for row in report["checks"]] == NAMES
    assert abs(report["timestamp"] - time.time() * 1000) < 60_000
    assert 0 <= report["uptime"] < 60_000
    for row in report["checks"]:
        assert set(row) == {"name", "status", "message", "duration", "timestamp", "metadata"}
        assert row["duration"] > 0, row
        assert isinstance(row["timestamp"], int)
        assert row["message"]
    ingestion = check(report, "event_ingestion")
    assert ingestion["message"].startswith("Event ingestion healthy: ")
    assert ingestion["message"].endswith(" events/sec")
    assert {"eventsPerSecond", "totalEvents"} <= set(ingestion["metadata"])
    workers = check(report, "event_processing")["metadata"]
    assert workers["workers"] == workers["workersAlive"] > 0
    assert not (running.data_dir / PROBE_FILE).exists()


def test_it_needs_a_token_that_may_read(server: Start) -> None:
    running = server(auth=True)
    assert ask(running)[0] == 200
    running.headers = {}
    assert ask(running) == (401, {"success": False, "error": ask(running)[1]["error"]})


def test_many_who_ask_share_a_probe(server: Start) -> None:
    running = server(health_interval_seconds=300)
    began = time.monotonic()
    reports = {ask(running)[1]["timestamp"] for _ in range(50)}
    # The one from the start, and one for each time that a report is shared.
    assert len(reports) <= 2 + (time.monotonic() - began) / SHARED_SECONDS


def test_the_metrics_show_the_same_status_without_anybody_asking_for_it(server: Start) -> None:
    running = server(**AT_ONCE, health_free_disk_warning_bytes=1 << 60, health_free_disk_critical_bytes=0)
    with running.client() as client:
        wait_for("it", lambda: client.get("/api/metrics").json()["health"]["status"] == "degraded")


def test_a_weaker_promise_is_said(server: Start) -> None:
    _status, report = ask(server(durability="interval"))
    assert report["durability"] == "interval"
    assert "promise 'interval' and not 'fsync'" in check(report, "log_storage")["message"]


@pytest.fixture
def disk() -> Iterator[Path]:
    with small_disk() as place:
        yield place


@pytest.fixture
def on_disk(disk: Path, tmp_path: Path) -> Iterator[RunningServer]:
    running = RunningServer(disk / "data", **SMALL, **AT_ONCE, **NO_DISK_LIMITS)
    running.move_log(tmp_path / "server.log")
    yield running.start()
    running.stop()


def test_a_full_disk_is_critical_until_there_is_room(on_disk: RunningServer, disk: Path) -> None:
    assert becomes(on_disk, "healthy")
    ballast = fill(disk)
    report = becomes(on_disk, "unhealthy")
    storage = check(report, "log_storage")
    assert storage["status"] == "critical"
    assert "No space left on device" in storage["message"]
    assert ask(on_disk)[0] == 503
    ballast.unlink()
    becomes(on_disk, "healthy")
    assert ask(on_disk)[0] == 200
    changes = [(line["was"], line["now"]) for line in on_disk.log_lines() if line.get("check") == "log_storage"]
    assert changes == [("pass", "critical"), ("critical", "pass")]


def test_little_room_is_told_before_there_is_none(disk: Path, tmp_path: Path) -> None:
    limits: dict[str, Any] = {"health_free_disk_warning_bytes": 1 << 40, "health_free_disk_critical_bytes": 1 << 20}
    running = RunningServer(disk / "data", **SMALL, **AT_ONCE, **limits)
    running.move_log(tmp_path / "server.log")
    try:
        running.start()
        assert "of disk are free, less than" in check(becomes(running, "degraded"), "system_resources")["message"]
    finally:
        running.stop()


def test_a_probe_that_cannot_be_written_is_critical_and_better_is_held_back(server: Start) -> None:
    running = server(health_interval_seconds=0.2, health_recovery_seconds=2)
    becomes(running, "healthy")
    (running.data_dir / PROBE_FILE).mkdir()
    storage = check(becomes(running, "unhealthy"), "log_storage")
    assert "a probe file cannot be written to the data directory: Is a directory" in storage["message"]
    (running.data_dir / PROBE_FILE).rmdir()
    began = time.monotonic()
    wait_for("a better probe", lambda: "recovering: stays" in check(ask(running)[1], "log_storage")["message"])
    becomes(running, "healthy")
    assert time.monotonic() - began > 1


def test_a_stalled_disk_stalls_nothing_else(server: Start) -> None:
    """Opening a fifo to write to waits for its reader, as a stalled disk waits for whatever it waits for."""
    running = server(**AT_ONCE, health_probe_timeout_ms=100)
    becomes(running, "healthy")
    pipe = running.data_dir / PROBE_FILE
    os.mkfifo(pipe)
    storage = check(becomes(running, "unhealthy"), "log_storage")
    assert storage["message"].startswith("no answer")
    with running.client() as client:
        began = time.monotonic()
        for _ in range(20):
            assert client.get("/health").status_code == 200
            assert client.get("/api/health").status_code == 503
            assert client.post("/v1/drain", content=batch()).status_code == 202
        assert time.monotonic() - began < 10
    threads = [path.read_text() for path in Path(f"/proc/{running.pid}/task").glob("*/comm")]
    assert threads.count("forebay-log_sto\n") <= 1, "probes piled up"
    # Whoever reads it lets the probe go on: it fails to sync a pipe, and the next one finds a file again.
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    wait_for("its removal", lambda: not pipe.exists())
    os.close(descriptor)
    becomes(running, "healthy")
    assert running.terminate() == 0


def test_damage_in_a_segment_is_named(server: Start) -> None:
    running = server(logs_partitions=1, journal_file_age_seconds=1)
    # Random, so that compression leaves it long, and at once, so that it is in one segment.
    assert running.drain(batch(*[event(os.urandom(4000).hex()) for _ in range(20)])).status_code == 202
    segments = running.data_dir / "segments"
    wait_for("a segment", lambda: any(path.stat().st_size > 50_000 for path in segments.iterdir()))
    assert running.terminate() == 0
    largest = max(segments.iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)

    running = server(**AT_ONCE)
    with running.client() as client:
        client.get("/api/v1/streams/logs/records", params={"partition": 0, "offset": 0, "limit": 1000})
    storage = check(becomes(running, "degraded"), "log_storage")
    assert (storage["status"], storage["metadata"]["damagesTotal"]) == ("warning", 1)
    for part in (f"segments/{largest.name} bytes ", "(stream logs)", "forebay verify"):
        assert part in storage["message"]
    assert storage["metadata"]["damages"][0]["file"] == f"segments/{largest.name}"
    assert ask(running)[0] == 200


def test_a_damaged_journal_is_unhealthy_and_named(server: Start) -> None:
    running = server(logs_partitions=1)
    for number in range(10):
        assert running.drain(batch(event(f"{number} " + "m" * 5000))).status_code == 202
    assert running.terminate() == 0
    journal = next(
        path for path in (running.data_dir / "journal").glob("*.journal") if b"m" * 5000 in path.read_bytes()
    )
    content = bytearray(journal.read_bytes())
    content[content.index(b"5 " + b"m" * 5000) + 100] ^= 1
    journal.write_bytes(content)
    running = server(**AT_ONCE)
    report = becomes(running, "unhealthy")
    storage = check(report, "log_storage")
    assert storage["message"].startswith("the log is read_only: ")
    assert storage["metadata"]["damages"][0]["file"] == f"journal/{journal.name}"
    assert check(report, "event_ingestion")["status"] == "critical"
    assert not (running.data_dir / PROBE_FILE).exists()
