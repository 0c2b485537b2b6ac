"""The answers about the infrastructure."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

T = TypeVar("T")

Status = Literal["healthy", "degraded", "down"]
Milliseconds = Annotated[float, msgspec.Meta(ge=0)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Count = Annotated[int, msgspec.Meta(ge=0)]


def given(value: T | None) -> T | msgspec.UnsetType:
    """The value of a field that is left out where there is none."""
    return msgspec.UNSET if value is None else value


class ResponseTime(msgspec.Struct, frozen=True):
    """Times of answers in milliseconds: of the API server those of the last window, of a dependency those of its last
    probes."""

    avg: Milliseconds
    p95: Milliseconds
    p99: Milliseconds


class ServiceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One service. `reason` is there when it is not healthy; a field that does not apply is missing.

    `error_rate_percent` of the API server is the share of ingest requests that it could not take, of a dependency the
    share of its last probes that failed. `checked_at` is when the figures are of.
    """

    name: str
    kind: Literal["api", "log", "cache", "http", "tcp", "smtp", "redis", "kafka", "postgresql"]
    status: Status
    checked_at: str | None
    reason: str | msgspec.UnsetType = msgspec.UNSET
    response_time_ms: ResponseTime | msgspec.UnsetType = msgspec.UNSET
    error_rate_percent: Percent | msgspec.UnsetType = msgspec.UNSET
    queue_backlog: Count | msgspec.UnsetType = msgspec.UNSET
    connection_pool_usage_percent: Percent | msgspec.UnsetType = msgspec.UNSET
    query_latency_ms: Milliseconds | msgspec.UnsetType = msgspec.UNSET
    mode: str | msgspec.UnsetType = msgspec.UNSET
    free_disk_bytes: Count | msgspec.UnsetType = msgspec.UNSET


class SendingAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One address that mail is sent from. `blacklists` are those that listed it when they last gave an answer that can
    be relied on; `errors` says which of them, and what else, could not be asked, so that the rest is of before.

    Volume and rates are of the last 24 hours, and the rates missing while too little was sent for them to mean
    something.
    """

    ip_address: str
    provider: str
    reputation_score: Annotated[int, msgspec.Meta(ge=0, le=100)]
    blacklists: list[str]
    daily_volume: Count
    status: Literal["good", "warning", "critical"]
    checked_at: str | None
    errors: list[str]
    bounce_rate_percent: Percent | msgspec.UnsetType = msgspec.UNSET
    complaint_rate_percent: Percent | msgspec.UnsetType = msgspec.UNSET
