"""A real PostgreSQL for tests, in processes of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from support.redis import free_port

PACKAGE = "postgresql"
PROGRAM = "postgres"
PLACES = Path("/usr/lib/postgresql")
"""Where Debian has one directory a version."""

START_SECONDS = 120.0
SYSTEM_USER = "nobody"
"""It refuses to run as root."""


def find() -> Path | None:
    """The directory of its programs; None when it is not installed."""
    versions = sorted(PLACES.glob(f"*/bin/{PROGRAM}"), key=lambda path: int(path.parts[-3].partition(".")[0]))
    if versions:
        return versions[-1].parent
    found = shutil.which(PROGRAM)
    return Path(found).resolve().parent if found else None


class PostgresServer:
    """A cluster on a free port of loopback. The user `ann` has the password `s@cret`; there may be four sessions."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # Not in the directory of the test, which is its owner's alone.
        self._directory = Path(tempfile.mkdtemp(prefix="forebay-postgresql-"))
        self._data = self._directory / "data"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, password: str = "s%40cret") -> str:
        return f"postgresql://ann:{password}@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def _as_user(self, program: str, *arguments: object) -> list[str]:
        command = [str(self._programs / program), *map(str, arguments)]
        return ["setpriv", f"--reuid={SYSTEM_USER}", "--clear-groups", *command] if os.geteuid() == 0 else command

    def make(self) -> None:
        """Writes the cluster's files."""
        password = self._directory / "password"
        password.write_text("s@cret")
        if os.geteuid() == 0:
            shutil.chown(self._directory, SYSTEM_USER)
            shutil.chown(password, SYSTEM_USER)
        options = ("--username=ann", f"--pwfile={password}", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8")
        made = subprocess.run(
            self._as_user("initdb", f"--pgdata={self._data}", *options),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr

    def start(self) -> None:
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 4,
            "superuser_reserved_connections": 0,
            "max_wal_senders": 0,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._as_user(PROGRAM, "-D", self._data, *arguments), cwd="/", stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while "ready to accept connections" not in (self._directory / "log").read_text():
            assert self._process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < deadline, "postgres is not ready"
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """Ends it with all of its sessions, when it runs."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(START_SECONDS)
        self._process = None

    def remove(self) -> None:
        """Ends it, and deletes its files."""
        self.stop()
        shutil.rmtree(self._directory)
