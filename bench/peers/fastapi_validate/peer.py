from __future__ import annotations

from pathlib import Path

from harness.cache import Cache
from harness.server import Launch, Server
from peers.fastapi_fdatasync.peer import uvicorn

HERE = Path(__file__).parent


class FastapiValidate(Server):
    name = "fastapi-validate"
    title = "FastAPI + pydantic, validates, stores nothing"
    ack = "nothing"
    path = "/api/events"

    def prepare(self, cache: Cache) -> None:
        cache.venv(self.name, HERE / "requirements.txt")

    def start(self, launch: Launch) -> None:
        launch.run(uvicorn(launch.cache.venv(self.name, HERE / "requirements.txt"), HERE, launch.port))
