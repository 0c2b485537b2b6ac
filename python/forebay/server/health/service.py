"""Runs the checks, shares their results between requests, and logs every change of a status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from forebay.server.health.check_result import Level
from forebay.server.health.checks import all_checks
from forebay.server.health.context import CheckContext, Figures
from forebay.server.health.hysteresis import Hysteresis
from forebay.server.health.probe import Probe, ProbeResult
from forebay.server.health.report import Check, HealthReport, Overall, overall, summed

log = structlog.get_logger("forebay.health")

SHARED_SECONDS = 1.0
"""How long a report is shared. However many clients ask, the disk is probed once a second."""


class Health:
    """The health of one server. Only the event loop uses it."""

    def __init__(self, context: CheckContext, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        settings = context.settings
        self._recovery_seconds = settings.health_recovery_seconds
        self._interval_seconds = settings.health_interval_seconds
        self._latest = Figures()
        seconds = settings.health_probe_timeout_ms / 1000
        self._probes = [Probe(name, check, seconds) for name, check in all_checks(context, self._figures, clock)]
        self._hysteresis = {probe.name: Hysteresis(self._recovery_seconds) for probe in self._probes}
        self._started = clock()
        self._report: HealthReport | None = None
        self._reported = 0.0
        self._running: asyncio.Task[HealthReport] | None = None

    @property
    def status(self) -> Overall:
        """The status of the last check; before the first one, whether the log takes writes."""
        if self._report is not None:
            return self._report.status
        return "healthy" if self._context.engine.status()["mode"] == "running" else "unhealthy"

    @property
    def report(self) -> HealthReport | None:
        """The report of the last check; None before the first one."""
        return self._report

    async def check(self) -> HealthReport:
        """A report that is at most `SHARED_SECONDS` old. Takes at most as long as one probe may take."""
        if self._report is not None and self._clock() - self._reported < SHARED_SECONDS:
            return self._report
        if self._running is None:
            self._running = asyncio.create_task(self._measure())
            self._running.add_done_callback(self._ended)
        # A client that goes away must not cancel the check for the others.
        return await asyncio.shield(self._running)

    async def run(self, stopping: asyncio.Event) -> None:
        """Checks every `health_interval_seconds` until the server stops."""
        while not stopping.is_set():
            try:
                await self.check()
            except Exception as error:
                log.exception("the health check failed", error=str(error))
            try:
                async with asyncio.timeout(self._interval_seconds):
                    await stopping.wait()
            except TimeoutError:
                continue

    def _ended(self, task: asyncio.Task[HealthReport]) -> None:
        self._running = None
        if not task.cancelled():
            # Retrieves the exception, so that asyncio does not warn when nobody awaits the task any more.
            task.exception()

    def _figures(self) -> Figures:
        return self._latest

    async def _measure(self) -> HealthReport:
        self._latest = self._context.figures()
        outcomes = await asyncio.gather(*(probe.run() for probe in self._probes))
        now = self._clock()
        checks = [self._judge(probe.name, outcome, now) for probe, outcome in zip(self._probes, outcomes, strict=True)]
        summary = summed(checks)
        status = overall(summary)
        before = "healthy" if self._report is None else self._report.status
        if status != before:
            failing = [check.name for check in checks if check.status != "pass"]
            _line("unhealthy" if status == "unhealthy" else "healthy")(
                "health changed", was=before, now=status, failing=failing
            )
        self._report = HealthReport(
            status=status,
            timestamp=time.time_ns() // 1_000_000,
            uptime=int((now - self._started) * 1000),
            durability=self._context.settings.durability,
            checks=checks,
            summary=summary,
        )
        self._reported = now
        return self._report

    def _judge(self, name: str, outcome: ProbeResult, now: float) -> Check:
        hysteresis, result = self._hysteresis[name], outcome.result
        before = hysteresis.level
        shown = hysteresis.observe(result.level, now)
        message = result.message
        if shown > result.level:
            message += (
                f"; recovering: stays {shown.status!r} until it has passed for {self._recovery_seconds:g} seconds"
            )
        if shown != before:
            _line("healthy" if shown is Level.PASS else "unhealthy")(
                "health check changed", check=name, was=before.status, now=shown.status, why=message
            )
        return Check(name, shown.status, message, round(outcome.duration, 3), outcome.timestamp, result.metadata)


def _line(status: Overall) -> Callable[..., object]:
    write: Callable[..., object] = log.info if status == "healthy" else log.warning
    return write
