"""Keeps the events that the server refuses for good."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forebay.client.row_file import RowFile


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that is not stored where it belongs. Log events are put on a stream of rejected ones by the server, with
    their reasons; with `event` None this stands for so many of a batch of which the server does not say which they are.

    Attributes:
        lane: `drain`, `track`, `events` or `publish:<stream>`.
        event: its JSON.
        reason: the server's.
        count: how many events this stands for.
    """

    lane: str
    event: bytes | None
    reason: str
    count: int = 1


class TokenRefused(Exception):
    """The server has refused the client's token, as the message says, and taken nothing since. The event of the call
    is tried all the same and counted, since the token may be allowed again: it is rejected, or stored. A search raises
    it where the token is unknown, or has not the role that searches need."""


class Rejections:
    """Hands rejections to a function of the application, and appends them to a file as NDJSON."""

    def __init__(self, call: Callable[[Rejection], None] | None, path: str | os.PathLike[str] | None) -> None:
        self._call = call
        self._path = None if path is None else Path(path)
        self.reinit_after_fork()

    def reinit_after_fork(self) -> None:
        self._lock = threading.Lock()
        self.unkept = ""
        """Why the last ones are not in the file; empty when they are."""

    def keep(self, found: list[Rejection]) -> str:
        """Returns what failed in that; empty for nothing. Neither a full disk nor an error of the application's
        function ends a sender."""
        failure = ""
        if self._path is not None and found:
            try:
                self._write(self._path, found)
                self.unkept = ""
            except Exception as error:
                why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
                self.unkept = failure = f"cannot write {self._path}: {why}"
        for rejection in found if self._call is not None else ():
            try:
                self._call(rejection)  # type: ignore[misc]
            except BaseException as error:  # sys.exit() ends no process from here, but would end the sender
                failure = f"on_rejected raised {type(error).__name__}: {error}"
        return failure

    def _write(self, path: Path, found: list[Rejection]) -> None:
        rows = []
        for rejection in found:
            row: dict[str, object] = {"lane": rejection.lane, "reason": rejection.reason}
            if rejection.event is None:
                row["count"] = rejection.count
            else:
                row["event"] = json.loads(rejection.event)
            rows.append(json.dumps(row).encode() + b"\n")
        with self._lock, RowFile(path, 0o600) as file:
            file.append(b"".join(rows))
