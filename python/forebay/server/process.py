"""A `forebay serve` of one's own, in another process: for tests, and for what has to be killed."""

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
from typing import Any

from forebay.server.config import ENV_PREFIX

POLL_SECONDS = 0.005

STOP_SECONDS = 60.0
"""A graceful stop is bounded by the server's own timeout and one commit; this only ends a run that hangs."""

SHOWN_LOG_CHARACTERS = 10_000
"""How much of its log stands in the message about a server that failed: a traceback and what led to it."""


class StartFailed(RuntimeError):
    """The server ended, or did not serve in time; the message has the end of its log."""


def clean_environment() -> dict[str, str]:
    """The environment without settings: those of the caller's own server must not reach another one."""
    return {name: text for name, text in os.environ.items() if not name.startswith(ENV_PREFIX)}


class ServerProcess:
    """`forebay serve` on a free port of loopback. It may be started again after it has ended.

    Attributes:
        data_dir: its data directory; may be changed while it does not run.
        log_path: where its log is appended, as lines of JSON; may be changed while it does not run.
        url: `http://127.0.0.1:<port>`, without a slash at the end; empty until it serves.
    """

    def __init__(
        self,
        data_dir: Path,
        log_path: Path,
        settings: Mapping[str, object],
        flags: tuple[str, ...] = (),
        *,
        own_session: bool = False,
    ) -> None:
        """
        Args:
            settings: by their names; those of the environment do not hold.
            flags: more arguments of the command.
            own_session: whether Ctrl-C is for the caller alone.
        """
        self.data_dir = data_dir
        self.log_path = log_path
        self.url = ""
        self._flags = flags
        self._own_session = own_session
        self._environment = clean_environment()
        self._environment |= {f"{ENV_PREFIX}{name.upper()}": str(value) for name, value in settings.items()}
        # What the log says is read here.
        self._environment[f"{ENV_PREFIX}LOG_FORMAT"] = "json"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def command(self) -> list[str]:
        """What is started."""
        serve = [sys.executable, "-m", "forebay", "serve", "--data-dir", str(self.data_dir), "--port", "0"]
        return [*serve, *self._flags]

    def spawn(self) -> None:
        """Starts the process and does not wait for it."""
        self.url = ""
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=self._own_session,
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
                raise StartFailed(f"the server ended with status {status}:\n{self.log_end()}")
            if time.monotonic() > deadline:
                raise StartFailed(f"the server does not serve after {seconds:g} seconds:\n{self.log_end()}")
            time.sleep(POLL_SECONDS)

    def log_text(self) -> str:
        """What this life of the server has logged."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def log_end(self) -> str:
        """As much of it as a message shows."""
        return self.log_text()[-SHOWN_LOG_CHARACTERS:]

    def log_lines(self) -> list[dict[str, Any]]:
        """What this life of the server has logged, without what is no line of the log."""
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
        """The process of this life."""
        if self._process is None:
            raise StartFailed("the server was never started")
        return self._process

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal. Does nothing to a server that has ended."""
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """The exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL. Does nothing to a server that has ended, or was never started."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def end(self, seconds: float) -> None:
        """SIGTERM, and SIGKILL when it still runs after `seconds`."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(seconds)
        self.kill()
