"""The server that is killed: a real `forebay serve` in a process of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from forebay.server.process import ServerProcess


class Victim(ServerProcess):
    """`forebay serve` on `directory`/data, with its log in `directory`/server.log."""

    def __init__(self, directory: Path, settings: Mapping[str, object], flags: tuple[str, ...] = ()) -> None:
        # Problems are logged at this level or above. In a session of its own the server does not get Ctrl-C.
        chosen = {**settings, "log_level": "info"}
        super().__init__(directory / "data", directory / "server.log", chosen, ("--no-auth", *flags), own_session=True)

    def disk_bytes(self) -> int:
        """The size of the data directory."""
        total = 0
        for folder, _, names in os.walk(self.data_dir):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += os.stat(os.path.join(folder, name)).st_size
        return total
