"""A real server whose wall clock is set: by a library that is preloaded, since nobody may set the machine's."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from support.harness import RunningServer, batch, event, serving, wait_for

pytestmark = pytest.mark.slow

DAY = 24 * 3600
SOURCE = Path(__file__).with_name("clock_shift.c")
BRIEF = "brief"
"""A stream whose records go soon: once they are gone, retention has looked at all streams."""


class Clock:
    """The wall clock of servers that are started from here on, and which life of the machine they are in."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        library = directory / "clock.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
        self._shift, self._boot = directory / "shift", directory / "boot"
        self.set(0)
        self.start_machine("first")
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("CLOCK_SHIFT", str(self._shift))
        patch.setenv("CLOCK_BOOT_ID", str(self._boot))

    def set(self, seconds: int) -> None:
        """So much ahead of the real time."""
        beside = self._shift.with_suffix(".new")
        beside.write_text(str(seconds))
        beside.replace(self._shift)

    def start_machine(self, name: str) -> None:
        """Servers that start from here on find another life of the machine."""
        self._boot.write_text(name)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    if shutil.which("gcc") is None:
        pytest.skip("needs a C compiler")
    return Clock(tmp_path, monkeypatch)


def started(directory: Path, retention: int = 7 * DAY) -> AbstractContextManager[RunningServer]:
    """With so many seconds kept of `logs`."""
    return serving(directory, journal_file_age_seconds=1, logs_retention_ms=retention * 1000)


def send(server: RunningServer, key: str) -> None:
    assert server.drain(batch(event()), **{"Idempotency-Key": key}).status_code == 202


def retention_passes(server: RunningServer) -> None:
    """Returns when what was due for its age is deleted."""
    with server.client() as http:
        http.post("/api/v1/streams", json={"name": BRIEF, "partitions": 1, "config": {"retentionMs": 1000}})
    assert server.post(f"/api/v1/streams/{BRIEF}/events", {"value": 1}).status_code == 201
    wait_for("retention", lambda: kept(server, BRIEF) == 0)


def stream(server: RunningServer, name: str) -> dict[str, int]:
    with server.client() as http:
        described: dict[str, int] = http.get(f"/api/v1/streams/{name}").json()
    return described


def kept(server: RunningServer, name: str = "logs") -> int:
    return stream(server, name)["totalMessages"]


def sealed(server: RunningServer) -> bool:
    return stream(server, "logs")["storedBytes"] > 0


def doubt(server: RunningServer) -> float | None:
    with server.client() as http:
        checks = http.get("/api/health").json()["checks"]
    (storage,) = (check for check in checks if check["name"] == "log_storage")
    seconds: float | None = storage["metadata"]["clockUnprovenSeconds"]
    return seconds


def test_a_clock_that_is_set_deletes_nothing_and_stores_nothing_twice(clock: Clock, tmp_path: Path) -> None:
    with started(tmp_path / "log") as server:
        send(server, "one")
        wait_for("sealing", lambda: sealed(server))
        for step in (601, 8 * DAY, -8 * DAY):
            clock.set(step)
            send(server, "one")
            retention_passes(server)
            assert kept(server) == 1, step
        assert doubt(server) is None
    with started(tmp_path / "log") as server:
        send(server, "one")
        assert kept(server) == 1, "after a restart of the process, eight days in the past"


def test_a_start_of_the_machine_with_a_wrong_clock_holds_deletion(clock: Clock, tmp_path: Path) -> None:
    # The other life of the machine is as old as the real one: so much time has certainly passed.
    uptime = int(float(Path("/proc/uptime").read_text().split()[0]))
    retention = uptime + 8 * DAY
    with started(tmp_path / "log", retention) as server:
        send(server, "one")
        wait_for("sealing", lambda: sealed(server))
    clock.start_machine("second")
    clock.set(uptime + retention + 30 * DAY)
    with started(tmp_path / "log", retention) as server:
        wait_for("the doubt", lambda: (doubt(server) or 0) > retention)
        retention_passes(server)
        assert kept(server) == 1
        with server.client() as http:
            metrics = dict(line.split(" ", 1) for line in http.get("/metrics").text.splitlines() if line[0] != "#")
            assert float(metrics["forebay_clock_unproven_seconds"]) > retention
            assert http.post("/api/clock/release").json() == {"success": True, "released": True}
            assert http.post("/api/clock/release").json() == {"success": True, "released": False}
        wait_for("deletion", lambda: kept(server) == 0)
        wait_for("the end of the doubt", lambda: doubt(server) is None)
