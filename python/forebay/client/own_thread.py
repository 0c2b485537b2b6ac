"""The client's own threads. What they log is not sent, since that would go round."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

_own = threading.local()


def is_own_thread() -> bool:
    """Tells whether this thread is a client's own, or works as one for a while."""
    return getattr(_own, "is_own", False)


@contextlib.contextmanager
def as_own_thread() -> Iterator[None]:
    before = is_own_thread()
    _own.is_own = True
    try:
        yield
    finally:
        _own.is_own = before


def start_thread(target: Callable[..., None], *arguments: object, name: str) -> threading.Thread:
    """Starts a thread of the client's own.

    Raises:
        RuntimeError: there can be no further thread, since there are too many or the interpreter is ending.
    """

    def run() -> None:
        with as_own_thread():
            target(*arguments)

    if sys.is_finalizing():
        # Before Python 3.12.1 `start` would wait for ever for a thread that never runs.
        raise RuntimeError("the interpreter is ending")
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def log_unsent(log: Callable[..., None], *words: str) -> None:
    """Logs what no client sends. Whatever the application's logging does with it, the caller goes on."""
    with as_own_thread(), contextlib.suppress(Exception):
        log(*words)
