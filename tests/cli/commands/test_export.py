"""`forebay export`, against real servers, over connections that break."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.server.process import clean_environment
from support.harness import COMMAND_SECONDS, RunningServer, batch, event, run, run_bytes, serving, wait_for

pytestmark = pytest.mark.slow

EVENTS = 4_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("export") / "data") as opened:
        for start in range(0, EVENTS, 1000):
            events = [event(f"number {n} {'x' * 200}", metadata={"n": n}) for n in range(start, start + 1000)]
            opened.drain(batch(*events)).raise_for_status()
        yield opened


def kept(running: RunningServer) -> list[str]:
    return [path.name for path in (running.data_dir / "exports").iterdir()]


def test_each_format_by_the_name_of_the_file(running: RunningServer, tmp_path: Path) -> None:
    for name in ("a.csv", "a.ndjson", "a.json", "a.txt", "noname"):
        ended = run("export", "number", "--where", "n<10", "-o", tmp_path / name, "--url", running.url)
        assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
        assert re.fullmatch(r"forebay: 10 events, [\d,]+ bytes of (csv|json|txt)\n", ended.stderr)
    with (tmp_path / "a.csv").open(newline="") as file:
        assert sorted(json.loads(row["metadata"])["n"] for row in csv.DictReader(file)) == list(range(10))
    for name in ("a.ndjson", "a.json", "noname"):
        assert len([json.loads(line) for line in (tmp_path / name).read_text().splitlines()]) == 10
    assert "info api-gateway number 3" in (tmp_path / "a.txt").read_text()
    assert kept(running) == [], "what was fetched is deleted on the server"
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "a.ndjson", "a.json", "a.txt", "noname"}


def test_to_standard_output(running: RunningServer) -> None:
    ended = run_bytes("export", "--where", "n>=3990", "-o", "-", "--format", "txt", "--url", running.url)
    assert ended.returncode == 0
    assert len(ended.stdout.splitlines()) == 10
    assert ended.stderr.startswith(b"forebay: 10 events, ")


class BreakingProxy:
    """Passes connections on, and breaks each of them after so many bytes of its answers."""

    def __init__(self, port: int, limit: int) -> None:
        self._port = port
        self._limit = limit
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.broken = 0
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            threading.Thread(target=self._upward, args=(client, server), daemon=True).start()
            left = self._limit
            with contextlib.suppress(OSError):
                while left > 0 and (piece := server.recv(min(left, 65536))):
                    client.sendall(piece)
                    left -= len(piece)
            self.broken += left <= 0
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _upward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(65536):
                server.sendall(piece)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def test_a_connection_that_breaks_is_gone_on_with(running: RunningServer, tmp_path: Path) -> None:
    whole = run_bytes("export", "-o", "-", "--url", running.url)
    assert whole.returncode == 0
    proxy = BreakingProxy(int(running.url.rpartition(":")[2]), len(whole.stdout) // 4)
    try:
        path = tmp_path / "all.ndjson"
        ended = run("export", "-o", path, "--url", proxy.url)
        assert ended.returncode == 0, ended.stderr
        assert proxy.broken >= 4
        assert path.read_bytes() == whole.stdout
        printed = run_bytes("export", "-o", "-", "--url", proxy.url)
        assert printed.stdout == whole.stdout
    finally:
        proxy.close()


def test_one_that_was_interrupted_is_gone_on_with(running: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "all.ndjson"
    whole = run_bytes("export", "-o", "-", "--url", running.url).stdout
    proxy = BreakingProxy(int(running.url.rpartition(":")[2]), len(whole) // 4)
    arguments = ["export", "-o", str(path), "--keep", "--url", proxy.url]
    with subprocess.Popen(
        [sys.executable, "-m", "forebay", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as command:
        # It waits a second after each break, so that it is in the middle of the file.
        wait_for("a part", lambda: proxy.broken > 0 and len(list(tmp_path.glob("*.part"))) == 1)
        command.send_signal(signal.SIGINT)
        _, told = command.communicate(timeout=COMMAND_SECONDS)
    proxy.close()
    assert command.returncode == 130
    assert not path.exists(), "a file has its name when it is whole"
    [part] = tmp_path.iterdir()
    assert 0 < part.stat().st_size < len(whole)
    found = re.search(r"go on with: forebay export --resume (\w+) -o", told)
    assert found, told
    ended = run("export", "--resume", found[1], "-o", path, "--url", running.url)
    assert ended.returncode == 0, ended.stderr
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]
    gone = run("export", "--resume", found[1], "-o", path, "--url", running.url)
    assert (gone.returncode, "there is no export" in gone.stderr) == (1, True)
