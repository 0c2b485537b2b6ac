"""Runs one check off the event loop, so that a check that blocks delays nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from forebay.server.health.check_result import CheckResult, Level

log = structlog.get_logger("forebay.health")


@dataclass(slots=True, frozen=True)
class ProbeResult:
    """The result of a check, its duration in milliseconds, and its time in milliseconds since 1970."""

    result: CheckResult
    duration: float
    timestamp: int


class Probe:
    """Runs a blocking check in a thread of its own. A stalled disk may hold the thread for any time, so a second one is
    never started beside it, and the thread is a daemon, which does not keep the process from ending."""

    def __init__(self, name: str, check: Callable[[], CheckResult], timeout_seconds: float) -> None:
        self.name = name
        self._check = check
        self._timeout_seconds = timeout_seconds
        self._since: float | None = None

    async def run(self) -> ProbeResult:
        """The result of the check. It is critical after the timeout, and at once while an earlier run has not ended."""
        started = time.perf_counter()
        since = self._since
        if since is not None:
            return _silent(f"no answer for {started - since:.1f} seconds", 0.0)
        self._since = started
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ProbeResult] = loop.create_future()
        try:
            threading.Thread(
                target=self._work, args=(loop, answer), name=f"forebay-{self.name}"[:15], daemon=True
            ).start()
        except RuntimeError as error:
            self._since = None
            return _silent(f"no thread could be started: {error}", 0.0)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await answer
        except TimeoutError:
            elapsed = (time.perf_counter() - started) * 1000
            return _silent(f"no answer within {self._timeout_seconds * 1000:.0f} ms", elapsed)

    def _work(self, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[ProbeResult]) -> None:
        started = time.perf_counter()
        try:
            result = self._check()
        except Exception as error:
            # A check that raises has not passed, and must not stop the others.
            log.exception("a health check failed", check=self.name, error=str(error))
            result = CheckResult(Level.CRITICAL, [f"the check itself failed: {error}"])
        outcome = ProbeResult(result, (time.perf_counter() - started) * 1000, time.time_ns() // 1_000_000)
        self._since = None
        # A closed event loop raises RuntimeError: the server has stopped.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_complete, answer, outcome)


def _complete(answer: asyncio.Future[ProbeResult], outcome: ProbeResult) -> None:
    if not answer.done():
        answer.set_result(outcome)


def _silent(message: str, elapsed: float) -> ProbeResult:
    return ProbeResult(CheckResult(Level.CRITICAL, [message]), elapsed, time.time_ns() // 1_000_000)
