"""The server that is to be killed: a real `forebay serve`, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

POLL_SECONDS = 0.005
STOP_SECONDS = 60.0
"""A graceful stop is bounded by the server's own timeout and one commit; this only ends a run that hangs."""


class StartFailed(Exception):
    """The server ended, or did not serve in time; the message has the end of its log."""


class Victim:
    """`forebay serve` on `directory`/data, with its log in `directory`/server.log."""

    def __init__(self, directory: Path, settings: Mapping[str, object], flags: tuple[str, ...] = ()) -> None:
        self.data = directory / "data"
        self.url = ""
        self._log = directory / "server.log"
        self._flags = flags
        # Settings of the caller's own server must not reach this one.
        self._environment = {name: text for name, text in os.environ.items() if not name.startswith("FOREBAY_")}
        self._environment |= {f"FOREBAY_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment |= {"FOREBAY_LOG_FORMAT": "json", "FOREBAY_LOG_LEVEL": "info"}
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def spawn(self) -> None:
        """Starts the process and does not wait for it."""
        self.url = ""
        command = [sys.executable, "-m", "forebay", "serve", "--data-dir", str(self.data), "--port", "0", "--no-auth"]
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            # A session of its own: Ctrl-C is for the one who tortures.
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, *self._flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def await_serving(self, seconds: float) -> None:
        """Returns once the server listens.

        Raises:
            StartFailed: it ended, or did not within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            # Before the log is read: what a process that has ended wrote is complete then.
            status = self.status()
            for line in self.log_lines():
                if line.get("event") == "serving":
                    self.url = str(line["url"])
                    return
            if status is not None:
                raise StartFailed(f"the server ended with status {status}:\n{self.log_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise StartFailed(f"the server does not serve after {seconds:g} seconds:\n{self.log_text()[-2000:]}")
            time.sleep(POLL_SECONDS)

    def log_text(self) -> str:
        """What this life of the server has logged."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def log_lines(self) -> list[dict[str, object]]:
        lines = []
        for line in self.log_text().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self.process.poll()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise StartFailed("the server was never started")
        return self._process

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """The exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL. Does nothing to a server that has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def disk_bytes(self) -> int:
        """What the data directory takes."""
        total = 0
        for folder, _, names in os.walk(self.data):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += os.stat(os.path.join(folder, name)).st_size
        return total
