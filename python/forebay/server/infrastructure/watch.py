"""One dependency: its probes, and what they say of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import structlog

from forebay.cache.times import now_ms, rfc3339
from forebay.server.infrastructure.dependency import Dependency
from forebay.server.infrastructure.failure import ProbeFailed, reason_of
from forebay.server.infrastructure.probes.reply import Probe, Reply
from forebay.server.infrastructure.samples import Samples
from forebay.server.infrastructure.shapes import ServiceHealth, Status, given

log = structlog.get_logger("forebay.infrastructure")

NOT_PROBED = "it is not probed yet"


class Watch:
    """Probes one dependency as long as the server runs. Only the event loop uses it.

    Attributes:
        health: how it stands, as of the last probe.
    """

    def __init__(
        self, dependency: Dependency, probe: Probe, backlog: Callable[[str], int | None] = lambda _queue: None
    ) -> None:
        """`backlog` tells how many jobs of a queue wait, as of lately; None while that is not known."""
        self._dependency = dependency
        self._probe = probe
        self._backlog = backlog
        self._samples = Samples()
        self._failed: str | None = NOT_PROBED
        self._reply = Reply()
        self._at: int | None = None
        self._told: Status = "healthy"
        self._shown: tuple[int | None, ServiceHealth] | None = None

    async def run(self, stopping: asyncio.Event, delay_seconds: float = 0.0) -> None:
        """Probes until the server stops, from so many seconds on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_seconds):
                await stopping.wait()
        while not stopping.is_set():
            started = time.monotonic()
            await self.look()
            left = self._dependency.pause_seconds - (time.monotonic() - started)
            try:
                async with asyncio.timeout(max(left, 0.0)):
                    await stopping.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Probes once, in at most the dependency's timeout."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._dependency.timeout_ms / 1000):
                reply = await self._probe()
        except (ProbeFailed, OSError, EOFError) as error:
            self._failed = reason_of(error, self._dependency.timeout_ms)
            self._samples.add(None)
        except Exception as error:
            # A client may raise whatever it likes; the other dependencies are none the worse for it.
            log.exception("a probe failed in a way that it should not", service=self._dependency.name, error=str(error))
            self._failed = reason_of(error, self._dependency.timeout_ms)
            self._samples.add(None)
        else:
            self._failed = None
            self._reply = reply
            self._samples.add((time.perf_counter() - started) * 1000)
        self._at = now_ms()
        self._shown = None
        self._tell()

    def _tell(self) -> None:
        health = self.health
        if health.status != self._told:
            write = log.info if health.status == "healthy" else log.warning
            write(
                "a dependency changed",
                service=health.name,
                was=self._told,
                now=health.status,
                why=health.reason or None,
            )
            self._told = health.status

    @property
    def health(self) -> ServiceHealth:
        """How it stands. It is put together once for each probe and length of the queue, and not for who asks."""
        backlog = self._backlog(self._dependency.queue) if self._dependency.queue else None
        if self._shown is None or self._shown[0] != backlog:
            self._shown = backlog, self._judged(backlog)
        return self._shown[1]

    def _judged(self, backlog: int | None) -> ServiceHealth:
        dependency, reply = self._dependency, self._reply
        reasons = self._reasons(backlog)
        status: Status = "degraded" if reasons else "healthy"
        if self._at is None:
            status, reasons = "degraded", [NOT_PROBED]
        elif self._failed is not None:
            status, reasons = "down", [self._failed]
        return ServiceHealth(
            name=dependency.name,
            kind=dependency.kind,
            status=status,
            checked_at=None if self._at is None else rfc3339(self._at),
            reason=given("; ".join(reasons) or None),
            response_time_ms=given(self._samples.response_time),
            error_rate_percent=given(None if self._at is None else self._samples.error_percent()),
            queue_backlog=given(backlog),
            connection_pool_usage_percent=given(_rounded(reply.pool_percent)),
            query_latency_ms=given(_rounded(reply.query_latency_ms)),
        )

    def _reasons(self, backlog: int | None) -> list[str]:
        """What is beyond its limit."""
        dependency, reply, times = self._dependency, self._reply, self._samples.response_time
        errors, found = self._samples.error_percent(), []
        if times is not None and times.p95 > dependency.latency_limit_ms:
            found.append(f"p95 of its answers is {times.p95:.0f} ms, beyond {dependency.latency_limit_ms:g}")
        if errors > dependency.error_limit_percent:
            found.append(f"{errors:.1f} % of its last probes failed, beyond {dependency.error_limit_percent:g} %")
        if reply.pool_percent is not None and reply.pool_percent > dependency.pool_limit_percent:
            limit = dependency.pool_limit_percent
            found.append(f"{reply.pool_percent:.0f} % of its connections are taken, beyond {limit:g} %")
        if backlog is not None and backlog > dependency.backlog_limit:
            found.append(f"{backlog} jobs of {dependency.queue} wait, beyond {dependency.backlog_limit}")
        return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
