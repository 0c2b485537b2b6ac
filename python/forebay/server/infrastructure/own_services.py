"""The services of this process itself: the API server, the log and the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from forebay._forebay import error_table
from forebay.cache.cache import Health as CacheHealth
from forebay.cache.times import now_ms, rfc3339
from forebay.server.health.sliding_window import SlidingWindow
from forebay.server.infrastructure.shapes import ResponseTime, ServiceHealth, Status, given

if TYPE_CHECKING:
    from forebay.server.health import HealthReport
    from forebay.server.health.report import Check

ACKS = "forebay_ingest_ack_seconds"
REQUESTS = "forebay_ingest_requests"
REFUSALS = "forebay_ingest_refusals"
QUOTA_REFUSALS = "forebay_quota_refusals"

LOG_CHECK = "log_storage"
INGESTION_CHECK = "event_ingestion"
RESOURCES_CHECK = "system_resources"

TOO_MANY_REQUESTS = 429
SERVER_ERRORS = 500

_STATUSES = {name: status for _number, name, status, _retryable in error_table()}


class Figures(NamedTuple):
    """The engine's counters at one time. `buckets` counts the acknowledgements within each of `bounds`, in seconds, and
    last all of them."""

    bounds: Sequence[float]
    buckets: Sequence[float]
    seconds: float
    requests: float
    failed: float


def figures(metrics: Sequence[tuple[str, str, str, Sequence[tuple[Mapping[str, str], object]]]]) -> Figures:
    """The counters of `Engine.metrics` that are looked at. A request has failed when the server could not take it; one
    that was wrong, or beyond its token's quota, has not."""
    samples = {name.removesuffix("_total"): rows for name, _text, _kind, rows in metrics}
    histogram = samples[ACKS][0][1]
    bounds, buckets, seconds = histogram if isinstance(histogram, tuple) else ([], [], 0.0)
    failed = sum(_number(value) for labels, value in samples[REFUSALS] if _is_own(labels["code"]))
    requests = sum(_number(value) for _labels, value in samples[REQUESTS])
    quota = sum(_number(value) for _labels, value in samples[QUOTA_REFUSALS])
    return Figures(bounds, buckets, seconds, requests, max(failed - quota, 0.0))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _is_own(code: str) -> bool:
    status = _STATUSES.get(code, 0)
    return status == TOO_MANY_REQUESTS or status >= SERVER_ERRORS


class OwnServices:
    """What is known of them. Only the event loop uses it."""

    def __init__(self, report: Callable[[], HealthReport | None], window_seconds: float) -> None:
        """`report` is that of the last checks of `/api/health`; None before the first ones."""
        self._report = report
        self._recent: SlidingWindow[Figures] = SlidingWindow(window_seconds)
        self._times = ResponseTime(0.0, 0.0, 0.0)
        self._error_percent = 0.0
        self._at: int | None = None
        self._cache: tuple[Status, str | None] = ("healthy", None)

    def measured(self, now: Figures, cache: CacheHealth, problems: Sequence[str]) -> None:
        """Takes in what the engine has counted until now, and how the cache stands."""
        _, base = self._recent.add(now, time.monotonic())
        self._times = response_time(base, now)
        requests = now.requests - base.requests
        self._error_percent = round(min(100 * (now.failed - base.failed) / requests, 100.0), 3) if requests else 0.0
        self._at = now_ms()
        if cache is CacheHealth.AWAY:
            self._cache = ("down", "; ".join(problems) or "Redis does not answer, or does not take what is written")
        else:
            self._cache = ("degraded" if problems else "healthy", "; ".join(problems) or None)

    def services(self) -> list[ServiceHealth]:
        """All three, from memory."""
        report = self._report()
        checks = {} if report is None else {check.name: check for check in report.checks}
        stored = checks.pop(LOG_CHECK, None)
        return [self._api(checks), _log(stored, checks.get(RESOURCES_CHECK)), self._cache_health()]

    def _api(self, checks: Mapping[str, Check]) -> ServiceHealth:
        failing = [check for check in checks.values() if check.status != "pass"]
        status: Status = "degraded" if failing else "healthy"
        # It answers, whatever else a check finds; but when it takes no events, it does not do what it is for.
        if any(check.name == INGESTION_CHECK and check.status == "critical" for check in failing):
            status = "down"
        return ServiceHealth(
            name="API Server",
            kind="api",
            status=status,
            checked_at=None if self._at is None else rfc3339(self._at),
            response_time_ms=self._times,
            error_rate_percent=self._error_percent,
            reason=_reason([check.message for check in failing]),
        )

    def _cache_health(self) -> ServiceHealth:
        status, reason = self._cache
        return ServiceHealth(
            name="Cache",
            kind="cache",
            status=status,
            checked_at=None if self._at is None else rfc3339(self._at),
            reason=given(reason),
        )


def _log(check: Check | None, resources: Check | None) -> ServiceHealth:
    if check is None:
        return ServiceHealth(name="Log", kind="log", status="degraded", checked_at=None, reason="it is not checked yet")
    status: Status = "healthy" if check.status == "pass" else "degraded" if check.status == "warning" else "down"
    free = None if resources is None else resources.metadata.get("freeDiskBytes")
    # A check that did not come to an end has no figures.
    return ServiceHealth(
        name="Log",
        kind="log",
        status=status,
        checked_at=rfc3339(check.timestamp),
        queue_backlog=check.metadata.get("sealBacklogFiles", msgspec.UNSET),
        mode=check.metadata.get("mode", msgspec.UNSET),
        free_disk_bytes=given(free),
        reason=_reason([] if status == "healthy" else [check.message]),
    )


def _reason(messages: Sequence[str]) -> str | msgspec.UnsetType:
    return given("; ".join(messages) or None)


def response_time(base: Figures, now: Figures) -> ResponseTime:
    """The acknowledgements from one time to another."""
    counts = [after - before for before, after in zip(base.buckets, now.buckets, strict=True)]
    total = counts[-1] if counts else 0.0
    if total <= 0:
        return ResponseTime(0.0, 0.0, 0.0)
    seconds = ((now.seconds - base.seconds) / total, *(_quantile(now.bounds, counts, each) for each in (0.95, 0.99)))
    return ResponseTime(*(round(1000 * each, 3) for each in seconds))


def _quantile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float:
    """The quantile within its bucket, as Prometheus reckons it: linear between the bounds, and the highest bound for
    what is beyond it."""
    rank = share * counts[-1]
    lower, below = 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count >= rank:
            return lower + (bound - lower) * (rank - below) / max(count - below, 1e-9)
        lower, below = bound, count
    return lower
