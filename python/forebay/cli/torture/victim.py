"""The server that is to be killed: a real `forebay serve`, in a process of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from forebay.server.process import ServerProcess


class Victim(ServerProcess):
    """`forebay serve` on `directory`/data, with its log in `directory`/server.log."""

    def __init__(self, directory: Path, settings: Mapping[str, object], flags: tuple[str, ...] = ()) -> None:
        # What goes wrong is told at that level at least. A session of its own: Ctrl-C is for the one who tortures.
        chosen = {**settings, "log_level": "info"}
        super().__init__(directory / "data", directory / "server.log", chosen, ("--no-auth", *flags), own_session=True)

    def disk_bytes(self) -> int:
        """What the data directory takes."""
        total = 0
        for folder, _, names in os.walk(self.data_dir):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += os.stat(os.path.join(folder, name)).st_size
        return total
