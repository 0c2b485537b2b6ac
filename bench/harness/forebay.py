"""forebay itself, as `make serve` installs it."""

from __future__ import annotations

import os
from pathlib import Path

from harness.cache import REPOSITORY, Cache, Missing
from harness.server import Launch, Server


class Forebay(Server):
    name = "forebay"
    title = "**forebay**"
    ack = "fdatasync"

    @property
    def command(self) -> Path:
        return Path(os.environ.get("BENCH_FOREBAY", REPOSITORY / ".venv/bin/forebay"))

    def prepare(self, cache: Cache) -> None:
        if not self.command.exists():
            raise Missing(f"{self.command} does not exist; `make serve` builds it, BENCH_FOREBAY names another")

    def start(self, launch: Launch) -> None:
        self.serve(launch)

    def serve(self, launch: Launch, **settings: str) -> None:
        """Starts it with settings by their names."""
        directory = str(launch.directory / "data")
        launch.run(
            [str(self.command), "serve", "--data-dir", directory, "--port", str(launch.port), "--no-auth"],
            env={f"FOREBAY_{name.upper()}": value for name, value in settings.items()},
        )
