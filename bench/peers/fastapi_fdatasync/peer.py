from __future__ import annotations

from pathlib import Path

from harness.cache import Cache
from harness.server import Launch, Server

HERE = Path(__file__).parent


def uvicorn(python: Path, app: Path, port: int) -> list[str]:
    """One worker with the fast loop and parser, and without a log line per request."""
    return [
        *(str(python), "-m", "uvicorn", "app:app", "--app-dir", str(app), "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    ]


class FastapiFdatasync(Server):
    name = "fastapi-fdatasync"
    title = "FastAPI + pydantic, append + fdatasync per request"
    ack = "fdatasync"

    def prepare(self, cache: Cache) -> None:
        cache.venv(self.name, HERE / "requirements.txt")

    def start(self, launch: Launch) -> None:
        python = launch.cache.venv(self.name, HERE / "requirements.txt")
        launch.run(uvicorn(python, HERE, launch.port), env={"LOG_FILE": str(launch.directory / "events.ndjson")})
