"""Granian's worker inside this process and event loop. No other file uses what is private to Granian.

`granian.server.embed` does the same with a thread that polls; this uses the classes below it, so the dependency is
pinned to the patch. Clients connect to the front (`rust/forebay-http`), which passes on the connections that it does
not serve itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

from granian import _granian
from granian.http import HTTP1Settings

from forebay.server.http.rsgi import HttpProtocol, Watcher, WebSocketProtocol

# Granian's stub lags behind the module.
_native: Any = _granian

BACKLOG = 4096
"""Connections that wait in the kernel to be accepted; net.core.somaxconn caps it."""

HEADER_READ_MILLISECONDS = 10_000
"""The time that a client has to send a request's headers."""

READ_BUFFER_BYTES = 256 << 10
"""The most that one connection may hold beside the bodies that are counted, and the longest headers."""

_PY_THREADS = 1
"""More than one would only fight for the GIL."""


class Gateway:
    """Serves up to `connections` connections at once from `listener` and hands each request to `schedule`, on Granian's
    Python thread. Further connections wait in the listener's backlog."""

    def __init__(self, listener: socket.socket, schedule: Callable[[Watcher], None], connections: int) -> None:
        self._listener = listener
        self._connections = connections
        self._schedule = schedule
        self._signal = _native.WorkerSignal()
        self._closed = asyncio.Event()

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._signal.add_cb(lambda: loop.call_soon_threadsafe(self._closed.set))
        scheduler = _native.CallbackScheduler(loop, None, None, None, None)
        scheduler._schedule_fn = self._schedule
        worker = _native.RSGIWorker(
            1,
            # Granian owns the descriptor from here on and closes it when it stops.
            (None, _native.SocketHolder(self._listener.detach(), False, BACKLOG)),
            None,
            http_mode="1",
            threads=1,
            blocking_threads=4,
            py_threads=_PY_THREADS,
            backpressure=self._connections,
            websockets_enabled=True,
            http1_opts=HTTP1Settings(header_read_timeout=HEADER_READ_MILLISECONDS, max_buffer_size=READ_BUFFER_BYTES),
        )
        with batch_scheduling():
            worker.serve_mtr(scheduler, loop, self._signal)

    async def stop(self, seconds: float) -> bool:
        """Stops accepting and waits for the requests under way; False when some are left after `seconds`."""
        self._signal.set()
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            return False
        return True


def is_upgrade(protocol: HttpProtocol | WebSocketProtocol) -> TypeGuard[WebSocketProtocol]:
    """True when the request asks for a WebSocket."""
    return isinstance(protocol, _native.RSGIWebsocketProtocol)


@contextlib.contextmanager
def batch_scheduling() -> Iterator[None]:
    """Schedules the threads that start inside as SCHED_BATCH: they get the same share of the processor, but do not
    preempt the thread that wakes them.

    Granian's two threads wake each other four times a request, and the committer wakes the front's. Where they share a
    core, each then works off what has gathered.
    """
    if not hasattr(os, "SCHED_BATCH"):
        yield
        return
    before, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, before, parameters)
