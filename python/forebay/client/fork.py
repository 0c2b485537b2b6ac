"""Prepares open clients for a fork, and closes them at the end of the process."""

from __future__ import annotations

import atexit
import logging  # noqa: F401 - what it does at the end comes after what is registered here
import os
import sys
import threading
import time
from typing import Any, Protocol


class ForkAware(Protocol):
    """A client, as far as the process is concerned."""

    exit_seconds: float

    def _before_fork(self) -> None: ...
    def _after_fork_in_parent(self) -> None: ...
    def _reinit_after_fork(self) -> None: ...
    def close(self, timeout: float | None = None) -> int: ...


LAST = -100
"""The priority of what a worker of `multiprocessing` does at its end: after all that may still log. Its own things have
-5 at the lowest."""

# Global, since what is registered for a fork stays so until the process ends: once, for however many clients. Strong
# references: a client that nobody holds any more may still have events.
_open: set[ForkAware] = set()
_held: list[ForkAware] = []
# A lock for each process: one that was made by a parent may be taken for ever.
_reinit_locks: dict[int, Any] = {}
# The process whose finalizers have ours among them.
_finalizing: list[int] = []


def register(client: ForkAware) -> None:
    _open.add(client)
    _register_with_multiprocessing()


def unregister(client: ForkAware) -> None:
    _open.discard(client)


def reinit(client: ForkAware) -> None:
    """Called in the child of a fork, as soon as that is noticed: by Python's hook, or by a call when there was none, as
    after a fork by an application server that is written in C."""
    with _reinit_locks.setdefault(os.getpid(), threading.RLock()):
        client._reinit_after_fork()


def _before() -> None:
    _register_with_multiprocessing()
    # In one order, or two threads that fork would each wait for a lock of the other's.
    for client in sorted(_open, key=id):
        client._before_fork()
        _held.append(client)


def _in_parent() -> None:
    while _held:
        _held.pop()._after_fork_in_parent()


def _in_child() -> None:
    # Not those that were held: a fork from C calls this hook only, if any.
    _held.clear()
    for client in list(_open):
        reinit(client)


def _at_exit() -> None:
    """Closes what the application has not: all of them within the longest time that one of them gives."""
    clients = list(_open)
    deadline = time.monotonic() + max((client.exit_seconds for client in clients), default=0.0)
    for client in clients:
        client.close(max(0.0, deadline - time.monotonic()))


def _register_with_multiprocessing() -> None:
    """Its forked workers end with `os._exit`, so that `atexit` is not run, but finalizers of its own are that were
    registered in the worker. It is not imported for that: who has workers has done so."""
    util: Any = sys.modules.get("multiprocessing.util")
    if util is None:
        return
    if not _finalizing:
        _finalizing.append(0)
        # Called in every worker at its beginning, when what its parent had registered is gone.
        util.register_after_fork(_at_exit, _add_finalizer)
    if _finalizing != [os.getpid()] and sys.modules["multiprocessing.process"].parent_process() is not None:
        _add_finalizer(None)


def _add_finalizer(_: object) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, _at_exit, exitpriority=LAST)
    _finalizing[:] = [os.getpid()]


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
atexit.register(_at_exit)
