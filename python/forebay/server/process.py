"""Runs `forebay serve` in another process, for tests and for `forebay torture`."""

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
"""Ends a stop that hangs. The server's own timeout and one commit bound a graceful stop."""

SHOWN_LOG_CHARACTERS = 10_000
"""How much of its log the message about a failed server has: a traceback and some lines before it."""


class StartFailed(RuntimeError):
    """The server ended, or did not serve in time; the message has the end of its log."""


def clean_environment() -> dict[str, str]:
    """The environment without settings, so that those of the caller's own server do not apply to another one."""
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
            settings: settings by name; those of the environment are ignored.
            flags: more arguments of the command.
            own_session: keeps Ctrl-C in the terminal from the server.
        """
        self.data_dir = data_dir
        self.log_path = log_path
        self.url = ""
        self._flags = flags
        self._own_session = own_session
        self._environment = clean_environment()
        self._environment |= {f"{ENV_PREFIX}{name.upper()}": _text(value) for name, value in settings.items()}
        # This class reads the log, so its format is fixed.
        self._environment[f"{ENV_PREFIX}LOG_FORMAT"] = "json"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def command(self) -> list[str]:
        """The command line of the server."""
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
            StartFailed: the server ended, or does not serve within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            # Asked before the log is read: the log of a process that has ended is complete.
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
        """The log since the last start."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def log_end(self) -> str:
        """The end of the log, as messages show it."""
        return self.log_text()[-SHOWN_LOG_CHARACTERS:]

    def log_lines(self) -> list[dict[str, Any]]:
        """The lines of the log since the last start, without text that is no JSON."""
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
        """The process of the last start."""
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
        """Sends SIGKILL. Does nothing to a server that has ended or was never started."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def end(self, seconds: float) -> None:
        """Sends SIGTERM, and SIGKILL if the server still runs after `seconds`."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(seconds)
        self.kill()


def _text(value: object) -> str:
    """A setting as the environment has it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
