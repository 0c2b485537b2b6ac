"""The threads of a client's own."""

from __future__ import annotations

import _thread
import contextlib
import threading
from collections.abc import Callable

_own = threading.local()


def is_sender() -> bool:
    """Whether this thread is a client's own, or says something of a client: what is logged then is not sent, since that
    would go round."""
    return getattr(_own, "is_sender", False)


def launch(target: Callable[..., None], *args: object, name: str) -> None:
    """Starts a thread of the client's own. Not by `Thread.start`, for two reasons: that waits for what it has started,
    and when a signal's handler raises meanwhile, what is started may end or be stuck. And what is started here runs,
    though the interpreter may begin to end before, from when on some releases of Python refuse further threads.

    Raises:
        RuntimeError: there can be no further thread, since there are too many or the interpreter is ending.
    """
    _thread.start_new_thread(_launched, (target, args, name))


def _launched(target: Callable[..., None], args: tuple[object, ...], name: str) -> None:
    _own.is_sender = True
    threading.current_thread().name = name
    try:
        target(*args)
    finally:
        # Before Python 3.13 `threading` keeps those for ever that it has not started.
        threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]


class Own:
    """Makes the calling thread one of the client's own meanwhile."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = is_sender()
        _own.is_sender = True

    def __exit__(self, *_: object) -> None:
        _own.is_sender = self._before


def unsent(log: Callable[..., None], *words: str) -> None:
    """Logs what no client sends. Whatever the application's logging does with it, the caller goes on."""
    with Own(), contextlib.suppress(Exception):
        log(*words)
