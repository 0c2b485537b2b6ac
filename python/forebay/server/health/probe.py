"""One check, off the event loop: what blocks in it, blocks it alone."""

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
    """What was found, how long it took in milliseconds, and when it was done, in milliseconds since 1970."""

    finding: CheckResult
    duration: float
    timestamp: int


class Probe:
    """Runs a blocking check in a thread of its own. A stalled disk keeps that thread for as long as it likes, so there
    is never a second one beside it, and it does not keep the process from ending."""

    def __init__(self, name: str, check: Callable[[], CheckResult], timeout_seconds: float) -> None:
        self.name = name
        self._check = check
        self._timeout_seconds = timeout_seconds
        self._since: float | None = None

    async def run(self) -> ProbeResult:
        """What the check finds; that it gave no answer, after the timeout, or at once while an earlier one waits."""
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
            finding = self._check()
        except Exception as error:
            # A check that fails is not a pass, and must not end the others.
            log.exception("a health check failed", check=self.name, error=str(error))
            finding = CheckResult(Level.CRITICAL, [f"the check itself failed: {error}"])
        outcome = ProbeResult(finding, (time.perf_counter() - started) * 1000, time.time_ns() // 1_000_000)
        self._since = None
        # RuntimeError is a closed loop's: the server has stopped.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_complete, answer, outcome)


def _complete(answer: asyncio.Future[ProbeResult], outcome: ProbeResult) -> None:
    if not answer.done():
        answer.set_result(outcome)


def _silent(message: str, elapsed: float) -> ProbeResult:
    return ProbeResult(CheckResult(Level.CRITICAL, [message]), elapsed, time.time_ns() // 1_000_000)
