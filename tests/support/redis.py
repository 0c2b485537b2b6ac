"""A real Redis for tests, in a process of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import redis

T = TypeVar("T")

PROGRAM = "redis-server"

START_SECONDS = 60.0
INSTALL_SECONDS = 300.0


def find_or_install() -> str | None:
    """The path of redis-server; Debian's package is installed where that is possible. None when there is none."""
    return installed(PROGRAM, lambda: shutil.which(PROGRAM))


def installed(package: str, find: Callable[[], T | None]) -> T | None:
    """What `find` finds, if need be after Debian's package was installed, where that is possible. None when there is
    none."""
    # One worker installs, and the others wait for it.
    with Path(tempfile.gettempdir(), f"forebay-install-services.{os.geteuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if find() is None and os.geteuid() == 0 and shutil.which("apt-get"):
            with no_services():
                _apt_get("update", "-qq")
                _apt_get("install", "-qq", "-y", "--no-install-recommends", package)
    return find()


def _apt_get(*arguments: str) -> None:
    """Whether it worked shows in what is there afterwards."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["apt-get", *arguments],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            check=False,
            capture_output=True,
            timeout=INSTALL_SECONDS,
        )


@contextlib.contextmanager
def no_services() -> Iterator[None]:
    """Keeps packages that are installed inside from starting services (policy-rc.d of Debian): the tests start a Redis
    of their own, and this machine did not ask for one."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """redis-server on a free port of loopback. It may be started again after it has ended, on the same port and with
    the file that it saved."""

    def __init__(self, program: str, directory: Path, **settings: str) -> None:
        """`settings` with `_` for `-`. It saves nothing by itself."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self.settings = {"save": "", "appendonly": "no", **settings}
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._has_served = False

    @property
    def url(self) -> str:
        password = self.settings.get("requirepass")
        user = f":{password}@" if password else ""
        return f"redis://{user}127.0.0.1:{self.port}/0"

    @property
    def file(self) -> Path:
        """What it saves, and reads when it starts."""
        return self.directory / "dump.rdb"

    def start(self) -> RedisServer:
        deadline = time.monotonic() + START_SECONDS
        process = self._spawn()
        while not self._answers() or process.poll() is not None:
            if process.poll() is not None:
                said = self._log.read_text()[-2000:]
                assert "in use" in said, said
                assert not self._has_served, said
                # Another program got the port since it was found to be free.
                self.port = free_port()
                process = self._spawn()
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.02)
        self._has_served = True
        return self

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False

    def _spawn(self) -> subprocess.Popen[bytes]:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        for name, value in self.settings.items():
            arguments += [f"--{name.replace('_', '-')}", value]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([self._program, *arguments], stdout=log, stderr=log)
        return self._process

    @property
    def _log(self) -> Path:
        return self.directory / "redis.log"

    def client(self) -> redis.Redis:
        """A client for the test itself."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def ask(self, *command: Any) -> Any:
        """The answer to one command."""
        with self.client() as client:
            return client.execute_command(*command)

    def calls(self) -> dict[str, int]:
        """How often each command was called, in scripts too, since the start. Only `config` and `info` are the
        test's."""
        with self.client() as client:
            stats = client.info("commandstats")
        return {name.removeprefix("cmdstat_"): int(row["calls"]) for name, row in stats.items()}

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once, also when it was stopped by a signal; nothing is saved."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(START_SECONDS)
