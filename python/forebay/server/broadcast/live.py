"""What `/api/metrics` shows, shared by everybody who looks at about the same time."""

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
"""How old the figures may be. They take the engine some 40 µs, so readers at any rate cost it 0.1 % of a core."""

_DECODER = msgspec.json.Decoder(Metrics)


class LiveMetrics:
    """The figures of one engine. For the event loop's thread.

    Args:
        status: `healthy`, `degraded` or `unhealthy`, as `/api/health` has it. Must be cheap.
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
        """The figures, at most `SHARED_SECONDS` old."""
        return _DECODER.decode(self.encoded())

    def encoded(self) -> bytes:
        """The same as JSON."""
        now = self._clock()
        if now >= self._until:
            self.tell()
            self._encoded = self._engine.live()
            self._until = now + SHARED_SECONDS
        return self._encoded

    def watch(self) -> None:
        """Keeps the history's side of it: to be called every second or so."""
        self.tell()
        problem = self._engine.history_problem()
        if (problem is None) != (self._problem is None):
            if problem is None:
                log.info("the metrics history is written again", skipped=self._engine.history_skipped())
            else:
                log.warning("the metrics history is not written", reason=problem)
        self._problem = problem

    def tell(self) -> None:
        """Tells the engine how the server is, for its history."""
        status = self._status()
        if status != self._told:
            self._engine.set_health(status)
            self._told = status

    def forget(self) -> None:
        """After a reset or a scaling: what was shared until now is no longer true."""
        self._until = 0.0
