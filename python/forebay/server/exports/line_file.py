"""A file of lines, which can be gone on with where it was synced."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from forebay._forebay import export_head
from forebay.embedded.conditions import Conditions, Lines, Reading, walk_request

if TYPE_CHECKING:
    from forebay._forebay import Engine, SearchCancel

STEP_BYTES = 1 << 20
"""What one step reads: it is built in memory."""


class LineFile:
    """One that is being written."""

    def __init__(self, path: Path, form: Lines, length: int, check_room: Callable[[int], None]) -> None:
        """Goes on behind the first `length` bytes; what follows was not known to be synced, and is dropped.
        `check_room` is called with the bytes that are about to be written.

        Raises:
            OSError
        """
        self._form = form
        self._check_room = check_room
        self._file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        self.bytes = length
        try:
            self._file.truncate(length)
            self._file.seek(length)
            if not length:
                self._write(export_head(form))
        except BaseException:
            self.close()
            raise

    def step(
        self,
        engine: Engine,
        conditions: Conditions,
        seconds: float,
        reading: Reading,
        owner: bytes,
        cancel: SearchCancel,
    ) -> bytes:
        """Takes one step of the export, and returns what the engine says of it.

        Raises:
            ForebayError, OSError, and what `check_room` raises
        """
        asked = walk_request(conditions, seconds, reading, STEP_BYTES, self._form)
        lines, told = engine.search_export(asked, owner, cancel)
        self._write(lines)
        return told

    def sync(self) -> int:
        """Syncs the file, and returns how many bytes of it can be relied on."""
        os.fsync(self._file.fileno())
        return self.bytes

    def finish(self) -> int:
        """Ends and syncs the file, and returns its length."""
        return self.sync()

    def close(self) -> None:
        self._file.close()

    def _write(self, content: bytes) -> None:
        if not content:
            return
        self._check_room(len(content))
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]
        self.bytes += len(content)
