"""The queue `log-export` of the engine."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog

from forebay.errors import Conflict, FencedMember, NotFound
from forebay.server.exports.jobs import QUEUE, Leased, LeaseLost, Listed
from forebay.server.exports.order import Order, Progress

log = structlog.get_logger("forebay.exports")

LEASE_MS = 15_000
"""How long a job stays with a thread that does not say that it lives. What a killed server was at goes on after it."""

RETRIES = 20
"""How often a job begins again: each end of the server in the middle of it counts."""

PAGE = 100
"""Jobs of one question."""

UNFINISHED = ("failed", "waiting", "active")


class _Enqueued(msgspec.Struct):
    job_id: str


class _Job(msgspec.Struct):
    id: str
    payload: Order
    lease: str = ""
    progress: Progress | None = None
    error: Any = None


class _Leases(msgspec.Struct):
    jobs: list[_Job]


class _Kept(msgspec.Struct):
    cancel: bool


class EngineJobs:
    """The jobs of one engine."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def add(self, order: Order) -> str:
        made = self._engine.job_enqueue(
            QUEUE, msgspec.json.encode(order), retries=RETRIES, timeout_ms=None, unique_key=order.export_id
        )
        return msgspec.json.decode(made, type=_Enqueued).job_id

    def take(self) -> Leased | None:
        found = msgspec.json.decode(self._engine.job_lease(QUEUE, 1, LEASE_MS), type=_Leases).jobs
        return Leased(found[0].id, found[0].lease, found[0].payload, found[0].progress) if found else None

    def keep(self, leased: Leased, progress: Progress | None) -> bool:
        stored = None if progress is None else msgspec.json.encode(progress)
        try:
            kept = self._engine.job_heartbeat(leased.id, leased.lease, LEASE_MS, stored)
        except (Conflict, FencedMember, NotFound):
            raise LeaseLost from None
        return not msgspec.json.decode(kept, type=_Kept).cancel

    def done(self, leased: Leased, result: Progress) -> None:
        try:
            self._engine.job_complete(leased.id, leased.lease, msgspec.json.encode(result))
        except (Conflict, FencedMember, NotFound):
            raise LeaseLost from None

    def failed(self, leased: Leased, why: str) -> None:
        try:
            self._engine.job_fail(leased.id, leased.lease, why, False)
        except (Conflict, FencedMember, NotFound):
            raise LeaseLost from None

    def release(self, leased: Leased) -> None:
        try:
            self._engine.job_heartbeat(leased.id, leased.lease, 1, None)
        except (Conflict, FencedMember, NotFound):
            raise LeaseLost from None

    def unfinished(self) -> list[Listed]:
        found: list[Listed] = []
        for status in UNFINISHED:
            offset = 0
            while jobs := msgspec.json.decode(self._engine.job_list(QUEUE, status, PAGE, offset), type=_Leases).jobs:
                offset += len(jobs)
                found += [Listed(job.id, job.payload, job.progress, job.error) for job in jobs]
        return found

    def exists(self, job_id: str) -> bool:
        try:
            self._engine.job_get(job_id)
        except NotFound:
            return False
        return True

    def delete(self, job_id: str) -> None:
        try:
            self._engine.job_delete(job_id)
        except NotFound:
            return
