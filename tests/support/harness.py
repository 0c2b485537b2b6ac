"""Real servers for tests: started as processes, stopped as a test wants."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from forebay.server.process import ServerProcess, clean_environment

# Bounds for what hangs, not measures: a machine with twenty busy processes a core took 25 s for a start.
START_SECONDS = 120.0
STOP_SECONDS = 120.0
ANSWER_SECONDS = 120.0
COMMAND_SECONDS = 120.0
"""Longer than any command of a test takes; it only ends one that hangs."""


def wait_for(what: str, condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Polls until `condition` holds; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} seconds")
        time.sleep(0.005)


def run_bytes(*arguments: object, text: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command `forebay` with these arguments and settings, and `text` as its input; whatever became of it."""
    return subprocess.run(
        [sys.executable, "-m", "forebay", *map(str, arguments)],
        input=text,
        capture_output=True,
        timeout=COMMAND_SECONDS,
        env=clean_environment() | environment,
        check=False,
    )


def run(*arguments: object, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as `run_bytes` does, with text for its input and outputs."""
    ended = run_bytes(*arguments, text=text.encode(), **environment)
    return subprocess.CompletedProcess(ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def event(message: str = "hello", project: str = "org-xyz", **more: object) -> dict[str, object]:
    return {
        "project_id": project,
        "timestamp": "2024-05-31T15:30:45Z",
        "level": "info",
        "service": "api-gateway",
        "message": message,
        **more,
    }


def batch(*events: dict[str, object]) -> bytes:
    return json.dumps({"events": list(events) or [event()]}).encode()


class RunningServer(ServerProcess):
    """`forebay serve` in a process of its own, on a free port. With `auth`, requests carry the first token."""

    def __init__(self, data_dir: Path, *flags: str, auth: bool = False, **settings: Any) -> None:
        super().__init__(data_dir, data_dir.with_suffix(".log"), settings, (*([] if auth else ["--no-auth"]), *flags))
        self.auth = auth
        self.headers: dict[str, str] = {}

    def move_log(self, path: Path) -> None:
        """Lets the server's own log stand elsewhere than beside its data."""
        self.log_path = path

    def start(self) -> RunningServer:
        self.spawn()
        self.await_serving(START_SECONDS)
        if self.auth:
            self.headers = {"authorization": f"Bearer {self.first_token()}"}
        return self

    def first_token(self) -> str:
        return (self.data_dir / "token").read_text().strip()

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        return super().wait(seconds)

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def stop(self) -> None:
        """SIGKILL, unless it has ended."""
        self.kill()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=ANSWER_SECONDS, trust_env=False)

    def connect(self) -> socket.socket:
        parts = urlsplit(self.url)
        return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=ANSWER_SECONDS)

    def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        """`body` as it is when it is bytes, else as JSON. Header names with `_` for `-`."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.client() as client:
            return client.post(path, content=content, headers=named)

    def drain(self, body: bytes, **headers: str) -> httpx.Response:
        """Header names with `_` for `-`."""
        return self.post("/v1/drain", body, **headers)

    def pages(self, stream: str = "logs", limit: int = 10_000) -> Iterator[str]:
        """Every record of the stream as NDJSON, partition by partition, at most `limit` records at a time."""
        with self.client() as client:
            for row in client.get(f"/api/v1/streams/{stream}").raise_for_status().json()["partitionDetails"]:
                offset = row["startOffset"]
                while offset < row["endOffset"]:
                    page = client.get(
                        f"/api/v1/streams/{stream}/records",
                        params={"partition": row["partition"], "offset": offset, "limit": limit},
                    ).raise_for_status()
                    yield page.text
                    offset = int(page.headers["forebay-next-offset"])

    def records(self, stream: str = "logs") -> list[dict[str, Any]]:
        """Every record of the stream, partition by partition."""
        return [json.loads(line) for page in self.pages(stream) for line in page.splitlines()]

    def totals(self) -> dict[str, int]:
        """How many records each stream that is not empty has ever had, without those of the analytics views."""
        with self.client() as client:
            rows = client.get("/api/v1/streams").raise_for_status().json()["streams"]
        kept = (row for row in rows if row["totalMessages"] and not row["name"].startswith("analytics.views."))
        return {row["name"]: row["totalMessages"] for row in kept}

    def stored(self, stream: str) -> list[dict[str, Any]]:
        """Every record of the stream; none when there is no such stream yet."""
        with self.client() as client:
            missing = client.get(f"/api/v1/streams/{stream}").status_code == 404
        return [] if missing else self.records(stream)


def answer(connection: socket.socket, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer on a raw connection."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


@contextlib.contextmanager
def serving(data_dir: Path, *flags: str, **settings: Any) -> Iterator[RunningServer]:
    server = RunningServer(data_dir, *flags, **settings)
    try:
        yield server.start()
    finally:
        server.stop()


def processor_seconds(pid: int) -> float:
    """User and system time of a process (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """The memory of a process that is in use now (`VmRSS` of proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory: it has ended")
