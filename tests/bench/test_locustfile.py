"""bench/locustfile.py against real servers: what it says, and its exit status."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from forebay.server.process import clean_environment
from support.harness import RunningServer, run, wait_for

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]
LOCUSTFILE = Path(__file__).parents[2] / "bench" / "locustfile.py"
SECONDS = 90.0
"""Longer than any run here takes on a busy machine."""


@contextmanager
def swarm(
    server: RunningServer, *flags: object, token: str = "", **environment: str
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--host", server.url]
    settings = {name: value for name, value in clean_environment().items() if not name.startswith("LOCUST_")}
    with subprocess.Popen(
        [*command, "--only-summary", *map(str, flags)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=settings | environment | {"FOREBAY_TOKEN": token},
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    text, _ = process.communicate(timeout=SECONDS)
    return process.returncode, text


def own_stream(server: RunningServer) -> str:
    """The run's own, once records are on it."""
    found: list[str] = []

    def there() -> bool:
        with server.client() as client:
            streams = client.get("/api/v1/streams").raise_for_status().json()["streams"]
        found[:] = [row["name"] for row in streams if row["name"].startswith("locust-") and row["totalMessages"] > 1000]
        return bool(found)

    wait_for("records of the producers", there, SECONDS)
    return found[0]


def numbers(text: str, what: str) -> tuple[int, int]:
    """Returns how many a finding says were acknowledged, and how many were read back."""
    found = re.search(rf"read back {what}: ([\d,]+) acknowledged, ([\d,]+) read back", text)
    assert found is not None, text
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


def test_every_kind_of_user_runs_and_what_is_acknowledged_is_read_back(server: Start) -> None:
    running = server(auth=True)
    with swarm(running, "-u", 12, "-r", 12, token=running.first_token()) as process:
        wait_for("something of every kind", lambda: has_every_kind(running), SECONDS)
        process.send_signal(signal.SIGTERM)
        status, text = ended(process)
    assert status == 0, text
    for what in ("logs", "events", "analytics", "locust-[0-9a-f]+", "group locust-[0-9a-f]+"):
        acknowledged, found = numbers(text, what)
        assert 0 < acknowledged <= found, (what, text)
    for name in ("drain x 100", "sdk batch x 500", "event x 1", "track x 1", "produce x 100", "consume", "commit"):
        assert re.search(rf"{re.escape(name)} +\d+ +0\(0.00%\)", text), (name, text)
    # A second run on the same streams looks at its own records alone; the first one's stream is gone.
    assert [name for name in streams(running) if name.startswith("locust-")] == []
    before = stored(running, "logs")
    with swarm(running, "-u", 2, "Drains", "SingleEvents", token=running.first_token()) as process:
        wait_for("records of the second run", lambda: stored(running, "logs") > before, SECONDS)
        process.send_signal(signal.SIGTERM)
        status, text = ended(process)
    assert status == 0, text
    acknowledged, found = numbers(text, "logs")
    assert found - acknowledged <= 100, text


def has_every_kind(server: RunningServer) -> bool:
    """Tells whether each kind of user has stored, and the consumers have committed."""
    totals = server.totals()
    own = [name for name in totals if name.startswith("locust-")]
    with server.client() as client:
        groups = client.get("/api/v1/consumers").raise_for_status().text
        names = re.findall(r'"(locust-[0-9a-f]+)"', groups)
        committed = any(client.get(f"/api/v1/consumers/{name}").raise_for_status().json()["offsets"] for name in names)
    return {"logs", "events", "analytics"} <= set(totals) and bool(own) and committed


def streams(server: RunningServer) -> list[str]:
    with server.client() as client:
        return [row["name"] for row in client.get("/api/v1/streams").raise_for_status().json()["streams"]]


def test_a_stream_that_was_deleted_is_missed(server: Start) -> None:
    running = server()
    with swarm(running, "-u", 6, "-r", 6, "--exit-code-on-error", 0, "Producers", "Drains") as process:
        stream = own_stream(running)
        with running.client() as client:
            client.delete(f"/api/v1/streams/{stream}").raise_for_status()
        process.send_signal(signal.SIGTERM)
        status, text = ended(process)
    assert status == 1, text
    acknowledged, found = numbers(text, stream)
    assert (acknowledged > 1000, found) == (True, 0)
    assert re.search(rf"read back {stream}: .*{acknowledged:,} MISSING \(", text)
    assert "read back logs" in text
    assert not re.search(r"read back logs: .*MISSING", text)


def test_a_server_that_forgot_is_found_out(server: Start) -> None:
    first = server()
    port = str(urlsplit(first.url).port)
    with swarm(first, "-u", 4, "-r", 4, "--exit-code-on-error", 0, "Drains", "SingleEvents") as process:
        wait_for("log events", lambda: stored(first, "logs") > 500, SECONDS)
        first.kill()
        second = server("--port", port, directory="empty")
        wait_for("log events on the second one", lambda: stored(second, "logs") > 500, SECONDS)
        process.send_signal(signal.SIGTERM)
        status, text = ended(process)
    assert status == 1, text
    acknowledged, found = numbers(text, "logs")
    assert 0 < found < acknowledged
    assert re.search(r"read back logs: .*MISSING", text)


def stored(server: RunningServer, stream: str) -> int:
    with server.client() as client:
        return int(client.get(f"/api/v1/streams/{stream}").raise_for_status().json()["totalMessages"])


def test_the_saturating_shape_stops_at_a_quota_whose_429s_are_obeyed(server: Start) -> None:
    running = server(auth=True)
    roles = [part for role in ("ingest", "read", "ops") for part in ("--role", role)]
    limits = ["--events-per-second", "3000", "--events-burst", "6000", "--data-dir", running.data_dir]
    made = run("token", "create", "--name", "narrow", *roles, *limits)
    token = made.stdout.split()[-1]
    wait_for("the new token", lambda: knows(running, token))
    shape = {"LOCUST_SHAPE": "saturation", "LOCUST_STEP_SECONDS": "2", "LOCUST_STEP_USERS": "4"}
    with swarm(running, "Drains", "SdkBatches", token=token, **shape) as process:
        status, text = ended(process)
    assert status == 0, text
    assert "saturation: the server refuses; held for 2 steps" in text
    refused = re.search(r"429: (\d+) answers, obeyed for (\d+) s together", text)
    assert refused is not None
    # Each is waited for, a second and more.
    assert int(refused[2]) >= int(refused[1]) > 0
    assert re.search(r"\(429, waited\) +\d+ +0\(0.00%\)", text), text
    acknowledged, found = numbers(text, "logs")
    assert 0 < acknowledged <= found


def knows(server: RunningServer, token: str) -> bool:
    with server.client() as client:
        return client.get("/api/v1/streams", headers={"authorization": f"Bearer {token}"}).status_code == 200


def test_a_run_that_cannot_begin_says_why(server: Start) -> None:
    running = server(auth=True)
    with swarm(running, "-u", 2, "-t", "60s", token="wrong") as process:
        status, text = ended(process)
    assert status == 1, text
    assert "locust cannot begin: GET /api/v1/streams/logs was answered with 401" in text
    assert os.linesep + "read back" not in text
