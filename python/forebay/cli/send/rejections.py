"""The lines that are not stored, and why."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import click

from forebay.cli.send.batches import Line
from forebay.client.row_file import RowFile


class Rejections:
    """Where lines go that are not stored: the file, or, without one and when it cannot be written, a list of their
    numbers. Each is written at once: whatever ends the process, what was kept is in the file.

    Attributes:
        kept: how many are in the file.
        failure: why the file cannot be written; empty while it can.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.kept = 0
        self.failure = ""
        self._file: RowFile | None = None
        self._numbers: list[int] = []
        self._unsynced = False

    def __enter__(self) -> Rejections:
        if self.path:
            try:
                self._file = RowFile(Path(self.path), 0o666)
            except OSError as error:
                raise click.ClickException(f"cannot write {self.path}: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        """Raises nothing: there may be more to tell than that the disk is full. `failure` says it."""
        if self._file is not None:
            try:
                self.sync()
            except OSError:
                pass
            finally:
                self._file.close()

    def keep(self, line: Line, reason: str) -> bool:
        """Returns False when there is no file. Called by one thread at a time. Raises OSError when it cannot be
        written."""
        if self._file is None:
            self._numbers.append(line.number)
            return False
        row: dict[str, object] = {"line": line.number, "reason": reason}
        try:
            row["text"] = line.text.decode()
        except UnicodeDecodeError:
            row["base64"] = base64.b64encode(line.text).decode()
        try:
            self._file.append(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            self._numbers.append(line.number)
            self._fail(error)
            raise
        self.kept += 1
        self._unsynced = True
        return True

    def sync(self) -> None:
        """Returns when what was kept is on the disk. Raises OSError."""
        if self._file is not None and self._unsynced:
            try:
                self._file.sync()
            except OSError as error:
                self._fail(error)
                raise
            self._unsynced = False

    def _fail(self, error: OSError) -> None:
        self.failure = self.failure or f"cannot write {self.path}: {error.strerror}"

    @property
    def missing(self) -> str:
        """The numbers of lines that are nowhere, as ranges: `3, 7-12`."""
        ranges: list[list[int]] = []
        for number in sorted(self._numbers):
            if ranges and number == ranges[-1][1] + 1:
                ranges[-1][1] = number
            else:
                ranges.append([number, number])
        return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
