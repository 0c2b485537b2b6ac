"""A limit of open files: the log keeps what it needs, whoever connects."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from forebay.errors import ConfigError
from forebay.server import open_files
from forebay.server.config import Settings
from forebay.server.process import clean_environment
from support.harness import ANSWER_SECONDS, RunningServer, answer, batch, event, wait_for
from support.raw_websocket import Raw

pytestmark = pytest.mark.slow

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"

LIMITED = "import os, resource, sys; n = int(sys.argv[1]); resource.setrlimit(resource.RLIMIT_NOFILE, (n, n)); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"  # noqa: E501


class LimitedServer(RunningServer):
    """A server that may open so many files."""

    def __init__(self, data_dir: Path, files: int, **settings: Any) -> None:
        super().__init__(data_dir, auth=True, **settings)
        self.files = files

    def command(self) -> list[str]:
        return [sys.executable, "-c", LIMITED, str(self.files), *super().command()[1:]]


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Callable[..., LimitedServer]]:
    started: list[LimitedServer] = []

    def start(files: int, **settings: Any) -> LimitedServer:
        running = LimitedServer(tmp_path / f"data-{files}", files, **settings)
        started.append(running)
        running.start()
        return running

    yield start
    for running in started:
        running.stop()


def opened(running: RunningServer, count: int) -> list[socket.socket]:
    connections = []
    for _ in range(count):
        connection = running.connect()
        connection.settimeout(3 * ANSWER_SECONDS)
        connection.sendall(HEALTH)
        connections.append(connection)
    return connections


def test_connections_are_lowered_to_what_fits_and_the_log_says_so(limited: Callable[..., LimitedServer]) -> None:
    running = limited(300)
    (line,) = [line for line in running.log_lines() if line["event"] == "max_connections was lowered"]
    assert (line["configured"], line["to"]) == (1024, (300 - open_files.RESERVE) // open_files.PER_CONNECTION)
    assert "300 files" in line["why"]
    assert str(open_files.RESERVE + open_files.PER_CONNECTION * 1024) in line["todo"]
    assert running.drain(batch()).status_code == 202


def test_a_thousand_connections_without_a_token_cost_no_batch(limited: Callable[..., LimitedServer]) -> None:
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    if own[1] != resource.RLIM_INFINITY and own[1] < 2048:
        pytest.skip("this process may not open a thousand connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(own[0], 2048), own[1]))
    # Small files: each that is sealed opens some.
    running = limited(2048, journal_file_bytes=1 << 20, ring_bytes=8 << 20)
    with ExitStack() as stack:
        for connection in opened(running, 1000):
            stack.enter_context(connection)
        # The log is never short of one: what is kept for it was not taken by whoever connects.
        assert len(os.listdir(f"/proc/{running.pid}/fd")) < 2048 - open_files.RESERVE // 4
        with running.connect() as sender:
            sender.settimeout(3 * ANSWER_SECONDS)
            for number in range(40):
                body = batch(*(event(f"{number}-{part}" * 4_000) for part in range(4)))
                head = f"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                token = running.headers["authorization"]
                sender.sendall(f"{head}Authorization: {token}\r\n\r\n".encode() + body)
                assert answer(sender)[0] == 202, number
    resource.setrlimit(resource.RLIMIT_NOFILE, own)
    with running.client() as client:
        status = client.get("/readyz")
    assert (status.status_code, status.json()["status"]) == (200, "ready")


def test_connections_that_take_the_most_leave_the_log_its_files(limited: Callable[..., LimitedServer]) -> None:
    files = 360
    for_connections = files - open_files.RESERVE
    running = limited(files, journal_file_bytes=1 << 20, ring_bytes=8 << 20)

    def taken() -> int:
        return len(os.listdir(f"/proc/{running.pid}/fd")) - idle

    idle = 0
    idle = taken()
    with ExitStack() as stack, running.client() as sender:
        assert sender.post("/v1/drain", content=batch()).status_code == 202
        clients = [Raw(running) for _ in range(for_connections)]
        for client in clients:
            stack.enter_context(client.connection)
        # The sender is one of those that are served; the rest waits.
        served = clients[: for_connections // open_files.PER_CONNECTION - 1]
        for client in served:
            client.opened()
        wait_for("what they take", lambda: taken() >= open_files.PER_CONNECTION * len(served))
        for number in range(20):
            body = batch(*(event(f"{number}-{part}" * 4_000) for part in range(4)))
            assert sender.post("/v1/drain", content=body).status_code == 202, number
        # A quarter of what is kept is more than the log's own files vary by.
        assert taken() < for_connections + open_files.RESERVE // 4
        status = sender.get("/readyz")
    assert (status.status_code, status.json()["status"]) == (200, "ready")


@pytest.mark.parametrize("files", [256, 200])
def test_a_small_limit_serves_few(limited: Callable[..., LimitedServer], files: int) -> None:
    running = limited(files)
    connections = opened(running, (files - open_files.RESERVE) // open_files.PER_CONNECTION + 3)
    with ExitStack() as stack:
        for connection in connections:
            stack.enter_context(connection)
        for number in range(10):
            assert running.drain(batch(event(str(number)))).status_code == 202
    assert len(running.records()) == 10


def test_a_limit_that_is_too_small_is_refused_at_the_start(tmp_path: Path) -> None:
    serve = ["-m", "forebay", "serve", "--data-dir", str(tmp_path / "data"), "--port", "0"]
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, "150", *serve],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=ANSWER_SECONDS,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert "may open 150 files, and needs 184 at least" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("configured", "limit", "served"),
    [(1024, None, 1024), (1024, 1 << 20, 1024), (1024, 3072 + 160, 1024), (1024, 3072 + 159, 1023), (2, 166, 2)],
)
def test_what_fits(configured: int, limit: int | None, served: int) -> None:
    assert open_files.fitted(Settings(max_connections=configured), limit).max_connections == served


def test_hardly_any_is_an_error() -> None:
    with pytest.raises(ConfigError, match="needs 184 at least"):
        open_files.fitted(Settings(), 183)
