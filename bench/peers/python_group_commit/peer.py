from __future__ import annotations

from pathlib import Path

from harness.cache import Cache
from harness.server import Launch, Server

HERE = Path(__file__).parent


class PythonGroupCommit(Server):
    """One JSON line per event."""

    name = "python-group-commit"
    title = "Granian + msgspec, group commit in Python"
    store = "lines"
    ack = "fdatasync"

    def prepare(self, cache: Cache) -> None:
        cache.venv("python-group-commit", HERE / "requirements.txt")

    def start(self, launch: Launch) -> None:
        python = launch.cache.venv("python-group-commit", HERE / "requirements.txt")
        command = [
            *(str(python), "-m", "granian", "app:app", "--interface", "rsgi", "--host", "127.0.0.1"),
            *("--port", str(launch.port), "--workers", "1", "--runtime-mode", "mt", "--runtime-threads", "1"),
            *("--loop", "uvloop", "--http", "1", "--http1-buffer-size", str(2 * 1024 * 1024), "--no-access-log"),
            *("--backlog", "1024", "--log-level", "warning"),
        ]
        launch.run(command, cwd=HERE, env={"LOG_FILE": str(launch.directory / "events.log"), "STORE": self.store})


class PythonBodyCommit(PythonGroupCommit):
    """The bodies as they came: an event cannot be found by its number. A bound rather than a log."""

    name = "python-body-commit"
    title = "Granian + msgspec, group commit in Python, whole bodies unread"
    store = "body"
