"""The metrics of `/api/metrics`, shared by clients that ask at about the same time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from forebay.server.broadcast.shapes import Metrics

if TYPE_CHECKING:
    from forebay._forebay import Engine

log = structlog.get_logger("forebay.live")

SHARED_SECONDS = 0.05
"""How long metrics are shared. They take the engine some 40 µs, so any number of readers costs 0.1 % of a core."""

_DECODER = msgspec.json.Decoder(Metrics)


class LiveMetrics:
    """The metrics of one engine. Only the event loop's thread uses it.

    Args:
        status: returns `healthy`, `degraded` or `unhealthy`, as in `/api/health`. It must be cheap.
    """

    def __init__(self, engine: Engine, status: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._status = status
        self._told = ""
        self._problem: str | None = None
        self._clock = clock
        self._until = 0.0
        self._encoded = b""

    def current(self) -> Metrics:
        """The metrics, at most `SHARED_SECONDS` old."""
        return _DECODER.decode(self.encoded())

    def encoded(self) -> bytes:
        """The metrics as JSON, at most `SHARED_SECONDS` old."""
        now = self._clock()
        if now >= self._until:
            self.tell()
            self._encoded = self._engine.live()
            self._until = now + SHARED_SECONDS
        return self._encoded

    def watch(self) -> None:
        """Reports the status for the history, and logs when the history cannot be written. Call it about every
        second."""
        self.tell()
        problem = self._engine.history_problem()
        if (problem is None) != (self._problem is None):
            if problem is None:
                log.info("the metrics history is written again", skipped=self._engine.history_skipped())
            else:
                log.warning("the metrics history is not written", reason=problem)
        self._problem = problem

    def tell(self) -> None:
        """Passes the health status to the engine, for its history."""
        status = self._status()
        if status != self._told:
            self._engine.set_health(status)
            self._told = status

    def forget(self) -> None:
        """Drops the shared metrics. Call it after a reset or a scaling."""
        self._until = 0.0
