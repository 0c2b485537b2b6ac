"""The queue of exports in memory: what the engine keeps of it, without the engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from forebay.server.exports.jobs import Leased, LeaseLost, Listed
from forebay.server.exports.order import Order, Progress


@dataclass
class Job:
    order: Order
    status: str = "waiting"
    progress: Progress | None = None
    error: str | None = None
    lease: str = ""
    result: Progress | None = None
    cancelled: bool = False


class MemoryJobs:
    """Leases end when the test says so.

    Attributes:
        on_keep: is called with each progress that is stored.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self.on_keep: Callable[[Progress | None], None] = lambda _progress: None

    def add(self, order: Order) -> str:
        job_id = f"job_{next(self._numbers)}"
        self.jobs[job_id] = Job(order)
        return job_id

    def take(self) -> Leased | None:
        for job_id, job in list(self.jobs.items()):
            if job.status == "waiting":
                job.status, job.lease = "active", f"lease_{next(self._numbers)}"
                return Leased(job_id, job.lease, job.order, job.progress)
        return None

    def keep(self, leased: Leased, progress: Progress | None) -> bool:
        job = self._held(leased)
        job.progress = progress or job.progress
        self.on_keep(progress)
        return not job.cancelled

    def done(self, leased: Leased, result: Progress) -> None:
        job = self._held(leased)
        job.status, job.result = "completed", result

    def failed(self, leased: Leased, why: str) -> None:
        job = self._held(leased)
        job.status, job.error = "failed", why

    def discard(self, leased: Leased) -> None:
        self._held(leased)
        del self.jobs[leased.id]

    def release(self, leased: Leased) -> None:
        self._held(leased).status = "waiting"

    def unfinished(self) -> list[Listed]:
        jobs = [item for item in self.jobs.items() if item[1].status != "completed" and not item[1].cancelled]
        return [Listed(job_id, job.order, job.progress, job.error) for job_id, job in jobs]

    def exists(self, job_id: str) -> bool:
        return job_id in self.jobs

    def delete(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        if job is not None and job.status == "active":
            job.cancelled = True
        else:
            self.jobs.pop(job_id, None)

    def end_leases(self) -> None:
        for job in self.jobs.values():
            if job.status == "active":
                job.status, job.lease = "waiting", ""

    def _held(self, leased: Leased) -> Job:
        job = self.jobs.get(leased.id)
        if job is None or job.status != "active" or job.lease != leased.lease:
            raise LeaseLost
        return job
