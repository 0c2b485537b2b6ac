"""What has to happen to open clients when the process forks or ends."""

from __future__ import annotations

import atexit
import logging  # noqa: F401 - what it does at the end comes after what is registered here
import os
import sys
import threading
import time
from typing import Any, Protocol


class Living(Protocol):
    """A client, as far as the process is concerned."""

    exit_seconds: float

    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork_in_child(self) -> None: ...
    def close(self, timeout: float | None = None) -> int: ...


LAST = -100
"""The priority of what a worker of `multiprocessing` does at its end: after all that may still log. Its own things have
-5 at the lowest."""

# Global, since what is registered for a fork stays so until the process ends: once, for however many clients. Strong
# references: a client that nobody holds any more may still have events.
_open: set[Living] = set()
_held: list[Living] = []
# A lock for each process: one that was made by a parent may be taken for ever.
_renewing: dict[int, Any] = {}
# The process whose finalizers have ours among them.
_arranged: list[int] = []


def enrol(client: Living) -> None:
    _open.add(client)
    _tell_multiprocessing()


def dismiss(client: Living) -> None:
    _open.discard(client)


def renew(client: Living) -> None:
    """In the child of a fork, as soon as that is noticed: by Python's hook, or by a call when there was none, as after
    a fork by an application server that is written in C."""
    with _renewing.setdefault(os.getpid(), threading.RLock()):
        client.after_fork_in_child()


def _before() -> None:
    _tell_multiprocessing()
    _held[:] = sorted(_open, key=id)
    for client in _held:
        client.before_fork()


def _in_parent() -> None:
    while _held:
        _held[-1].after_fork_in_parent()
        _held.pop()


def _in_child() -> None:
    # Not those that were held: a fork from C calls this hook only, if any.
    _held.clear()
    for client in list(_open):
        renew(client)


def _at_exit() -> None:
    """Closes what the application has not: all of them within the longest time that one of them gives."""
    clients = list(_open)
    deadline = time.monotonic() + max((client.exit_seconds for client in clients), default=0.0)
    for client in clients:
        client.close(max(0.0, deadline - time.monotonic()))


def _tell_multiprocessing() -> None:
    """Its forked workers end with `os._exit`, so that `atexit` is not run, but for finalizers of its own that were
    registered in the worker. It is not imported for that: who has workers has done so."""
    util: Any = sys.modules.get("multiprocessing.util")
    if util is None:
        return
    if not _arranged:
        _arranged.append(0)
        # Called in every worker at its beginning, when what its parent had registered is gone.
        util.register_after_fork(_at_exit, _arrange)
    if _arranged != [os.getpid()] and sys.modules["multiprocessing.process"].parent_process() is not None:
        _arrange(None)


def _arrange(_: object) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, _at_exit, exitpriority=LAST)
    _arranged[:] = [os.getpid()]


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
atexit.register(_at_exit)
