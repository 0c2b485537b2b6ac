"""What has to happen to open clients when the process forks or ends."""

from __future__ import annotations

import atexit
import os
import time
from typing import Protocol


class Living(Protocol):
    """A client, as far as the process is concerned."""

    exit_seconds: float

    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork_in_child(self) -> None: ...
    def close(self, timeout: float | None = None) -> int: ...


# Global, since what is registered for a fork stays so until the process ends: once, for however many clients. Strong
# references: a client that nobody holds any more may still have events.
_open: set[Living] = set()
_held: list[Living] = []


def enrol(client: Living) -> None:
    _open.add(client)


def dismiss(client: Living) -> None:
    _open.discard(client)


def _before() -> None:
    _held[:] = sorted(_open, key=id)
    for client in _held:
        client.before_fork()


def _in_parent() -> None:
    while _held:
        _held.pop().after_fork_in_parent()


def _in_child() -> None:
    while _held:
        _held.pop().after_fork_in_child()


def _at_exit() -> None:
    """Closes what the application has not: all of them within the longest time that one of them gives."""
    clients = list(_open)
    deadline = time.monotonic() + max((client.exit_seconds for client in clients), default=0.0)
    for client in clients:
        client.close(max(0.0, deadline - time.monotonic()))


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
atexit.register(_at_exit)
