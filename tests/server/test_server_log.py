"""A server whose own log cannot be written: it serves all the same."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from forebay.server.process import clean_environment
from support.harness import ANSWER_SECONDS, STOP_SECONDS, batch, wait_for

pytestmark = pytest.mark.slow

WAYS = ("a full disk", "a reader that has gone", "closed")


@contextlib.contextmanager
def unwritable(way: str) -> Iterator[int]:
    """A descriptor to whose file nothing can be written."""
    reads, writes = os.pipe()
    full = os.open("/dev/full", os.O_WRONLY)
    os.close(reads)
    try:
        yield full if way == "a full disk" else writes
    finally:
        os.close(full)
        os.close(writes)


@pytest.mark.parametrize("way", WAYS)
def test_a_log_that_cannot_be_written_costs_its_lines_only(way: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "forebay", "serve", "--data-dir", str(tmp_path / "data")]
    command += ["--port", str(port), "--no-auth"]
    with unwritable(way) as stderr:
        process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", *command] if way == "closed" else command,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=clean_environment(),
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=ANSWER_SECONDS, trust_env=False) as client:

        def serves() -> bool:
            assert process.poll() is None, "the server ended"
            try:
                return client.get("/readyz").status_code == 200
            except httpx.ConnectError:
                return False

        try:
            wait_for("serving", serves)
            if way == "closed":
                # A file or connection of the server would have the number else, and be given what is printed.
                assert os.readlink(f"/proc/{process.pid}/fd/2") == os.devnull
            assert client.post("/v1/drain", content=batch()).status_code == 202
            assert client.get("/api/health").status_code in (200, 503)
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) == 0
        finally:
            process.kill()
            process.wait()
