"""The response of `GET /api/health`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from forebay.embedded.options import Durability

CheckStatus = Literal["pass", "warning", "critical"]
Overall = Literal["healthy", "degraded", "unhealthy"]


class Check(msgspec.Struct, frozen=True):
    """The result of one check. `duration` is in milliseconds, `timestamp` in milliseconds since 1970."""

    name: str
    status: CheckStatus
    message: str
    duration: float
    timestamp: int
    metadata: dict[str, Any]


class Summary(msgspec.Struct, frozen=True):
    """The number of checks by status."""

    total: int
    passing: int
    warning: int
    critical: int


class HealthReport(msgspec.Struct, frozen=True):
    """Unhealthy when a check is critical, degraded when one warns. `timestamp` is in milliseconds since 1970, `uptime`
    in milliseconds; `durability` is the level that acknowledgements promise."""

    status: Overall
    timestamp: int
    uptime: int
    durability: Durability
    checks: list[Check]
    summary: Summary


def summed(checks: list[Check]) -> Summary:
    """Counts the checks by status."""
    statuses = [check.status for check in checks]
    return Summary(len(checks), statuses.count("pass"), statuses.count("warning"), statuses.count("critical"))


def overall(summary: Summary) -> Overall:
    """The status of the server."""
    if summary.critical:
        return "unhealthy"
    return "degraded" if summary.warning else "healthy"
