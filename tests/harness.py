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

START_SECONDS = 20.0
STOP_SECONDS = 20.0
ANSWER_SECONDS = 20.0
COMMAND_SECONDS = 120.0
"""Longer than any command of a test takes; it only ends one that hangs."""


def wait_for(what: str, condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Polls until `condition` holds; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} seconds")
        time.sleep(0.005)


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}


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
    """The same, as text."""
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


class RunningServer:
    """`forebay serve` in a process of its own, on a free port. With `auth`, requests carry the first token."""

    def __init__(self, data_dir: Path, *flags: str, auth: bool = False, **settings: Any) -> None:
        self.auth = auth
        self.data_dir = data_dir
        self.flags = flags
        self.environment = clean_environment() | {
            f"FOREBAY_{name.upper()}": str(value) for name, value in settings.items()
        }
        self.url = ""
        self.headers: dict[str, str] = {}
        self._log = data_dir.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def move_log(self, path: Path) -> None:
        """Lets the server's own log stand elsewhere than beside its data."""
        self._log = path

    def start(self) -> RunningServer:
        command = [sys.executable, "-m", "forebay", "serve", "--data-dir", str(self.data_dir), "--port", "0"]
        self._log.write_bytes(b"")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *([] if self.auth else ["--no-auth"]), *self.flags],
                stderr=log,
                stdout=log,
                env=self.environment,
            )
        wait_for("the server's start", self._serving)
        if self.auth:
            self.headers = {"authorization": f"Bearer {self.first_token()}"}
        return self

    def first_token(self) -> str:
        return (self.data_dir / "token").read_text().strip()

    def _serving(self) -> bool:
        for line in self.log_lines():
            if line.get("event") == "serving":
                self.url = line["url"]
                return True
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"the server ended with {self._process.returncode}:\n{self._log.read_text()}")
        return False

    def log_lines(self) -> list[dict[str, Any]]:
        lines = []
        for line in self._log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.signal(signal.SIGKILL)
        self.wait()

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=ANSWER_SECONDS, trust_env=False)

    def connect(self) -> socket.socket:
        parts = urlsplit(self.url)
        return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=ANSWER_SECONDS)

    def drain(self, body: bytes, **headers: str) -> httpx.Response:
        """Header names with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.client() as client:
            return client.post("/v1/drain", content=body, headers=named)

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


def resident_bytes(pid: int) -> int:
    """The memory of a process that is in use now (`VmRSS` of proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory: it has ended")
