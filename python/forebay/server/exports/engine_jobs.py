"""The queue `log-export` of the engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
import structlog

from forebay import errors
from forebay.server.exports.jobs import QUEUE, Leased, LeaseLost, Listed
from forebay.server.exports.order import Order, Progress

if TYPE_CHECKING:
    from forebay._forebay import Engine

log = structlog.get_logger("forebay.exports")

LEASE_MS = 15_000
"""How long a job stays with a thread that does not say that it lives. What a killed server was at goes on after it."""

RELEASED_MS = 1
"""The lease of a job that is given back."""

RETRIES = 20
"""How often a job begins again: each end of the server in the middle of it counts."""

TIMEOUT_MS = 24 * 3600 * 1000
"""The longest there is: an export takes as long as the log is."""

PAGE = 100
"""Jobs of one question."""

UNFINISHED = ("failed", "waiting", "active")


class _Enqueued(msgspec.Struct):
    job_id: str


class _Error(msgspec.Struct):
    message: str = "it failed"


class _Job(msgspec.Struct):
    id: str
    payload: msgspec.Raw
    lease: str | None = None
    progress: Progress | None = None
    error: _Error | None = None
    cancel_requested: bool = False


class _Page(msgspec.Struct):
    jobs: list[_Job]


class _Kept(msgspec.Struct):
    cancel: bool


class EngineJobs:
    """The jobs of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, order: Order) -> str:
        payload = msgspec.json.encode(order)
        made = self._engine.job_enqueue(
            QUEUE, payload, retries=RETRIES, timeout_ms=TIMEOUT_MS, unique_key=order.export_id
        )
        return msgspec.json.decode(made, type=_Enqueued).job_id

    def take(self) -> Leased | None:
        for job in msgspec.json.decode(self._engine.job_lease(QUEUE, 1, LEASE_MS), type=_Page).jobs:
            try:
                order = msgspec.json.decode(job.payload, type=Order)
            except msgspec.MsgspecError as error:
                # Anybody may enqueue into any queue.
                log.warning("a job of the queue of exports is none", job=job.id, error=str(error))
                self._fail(job.id, job.lease or "", f"its payload is no export: {error}")
                continue
            return Leased(job.id, job.lease or "", order, job.progress)
        return None

    def keep(self, leased: Leased, progress: Progress | None) -> bool:
        stored = None if progress is None else msgspec.json.encode(progress)
        with _held():
            kept = self._engine.job_heartbeat(leased.id, leased.lease, LEASE_MS, stored)
        return not msgspec.json.decode(kept, type=_Kept).cancel

    def done(self, leased: Leased, result: Progress) -> None:
        with _held():
            self._engine.job_complete(leased.id, leased.lease, msgspec.json.encode(result))

    def failed(self, leased: Leased, why: str) -> None:
        with _held():
            self._fail(leased.id, leased.lease, why)

    def discard(self, leased: Leased) -> None:
        with _held():
            self._fail(leased.id, leased.lease, "it was deleted")
            self._engine.job_delete(leased.id)

    def release(self, leased: Leased) -> None:
        with _held():
            self._engine.job_heartbeat(leased.id, leased.lease, RELEASED_MS, None)

    def unfinished(self) -> list[Listed]:
        found: list[Listed] = []
        for status in UNFINISHED:
            for job in self._listed(status):
                if job.cancel_requested:
                    # It was deleted, and its server ended before it could say so.
                    self.delete(job.id)
                    continue
                with contextlib.suppress(msgspec.MsgspecError):
                    order = msgspec.json.decode(job.payload, type=Order)
                    error = None if status != "failed" else (job.error or _Error()).message
                    found.append(Listed(job.id, order, job.progress, error))
        return found

    def exists(self, job_id: str) -> bool:
        try:
            self._engine.job_get(job_id)
        except errors.JobNotFound:
            return False
        return True

    def delete(self, job_id: str) -> None:
        with contextlib.suppress(errors.JobNotFound):
            try:
                self._engine.job_delete(job_id)
            except errors.JobConflict:
                with contextlib.suppress(errors.JobConflict):
                    self._engine.job_cancel(job_id)

    def _listed(self, status: str) -> list[_Job]:
        """All jobs of a status. Nobody changes them meanwhile: this is asked before the thread begins."""
        found: list[_Job] = []
        try:
            while page := msgspec.json.decode(self._engine.job_list(QUEUE, status, PAGE, len(found)), type=_Page).jobs:
                found += page
        except errors.QueueNotFound:
            # There was no export yet.
            return []
        return found

    def _fail(self, job_id: str, lease: str, why: str) -> None:
        self._engine.job_fail(job_id, lease, msgspec.json.encode(_Error(why)), False)


@contextlib.contextmanager
def _held() -> Iterator[None]:
    """Tells a lease that is gone, and a job that was deleted, from other failures."""
    try:
        yield
    except (errors.LeaseLost, errors.JobNotFound, errors.JobConflict) as error:
        raise LeaseLost(error.detail) from None
