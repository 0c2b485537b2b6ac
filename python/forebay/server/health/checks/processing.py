"""The check `event_processing`: whether the worker threads are alive and keep up, and the stream processors run."""

from __future__ import annotations

import os
from pathlib import Path

from forebay.server.health.check_result import CheckResult, Level
from forebay.server.health.context import CheckContext

_TASKS = "/proc/self/task"

SHOWN_PROBLEMS = 3
"""The most problems of stream processors in the message."""

WORKER_NAME = "forebay-worker-0"[:15]
"""A thread's name as the kernel keeps it (`pthread_setname_np`: 15 characters)."""


class EventProcessing:
    """Counts the workers that the operating system knows, and looks at the job that has waited longest."""

    def __init__(self, context: CheckContext) -> None:
        self._context = context

    def __call__(self) -> CheckResult:
        engine, settings = self._context.engine, self._context.settings
        status, queues = engine.status(), engine.queue_stats()
        workers, alive, waited = status["workers"], threads(WORKER_NAME), queues.oldest_job_ms
        result = CheckResult(
            metadata={
                "workers": workers,
                "workersAlive": alive,
                "jobsWaiting": queues.jobs_waiting,
                "oldestJobMs": round(waited, 3),
            }
        )
        # A log that was opened read-only has no workers; log_storage reports that.
        if alive is not None and alive < workers and status["mode"] not in ("read_only", "closed"):
            level = Level.WARNING if alive else Level.CRITICAL
            result.add(level, f"{alive} of {workers} workers are alive")
        problems = self._context.processor_problems()
        if problems:
            more = f"; and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
            result.metadata["processorProblems"] = len(problems)
            result.add(Level.WARNING, "; ".join(problems[:SHOWN_PROBLEMS]) + more)
        result.compare(
            waited,
            settings.health_decode_wait_warning_ms,
            settings.health_decode_wait_critical_ms,
            f"a request body has waited {waited:.0f} ms for a worker",
        )
        result.add(Level.PASS, f"{workers} workers, {queues.jobs_waiting} request bodies waiting")
        return result


def threads(name: str) -> int | None:
    """The number of threads of this process with that name; None where the system does not tell."""
    try:
        tasks = os.listdir(_TASKS)
    except OSError:
        return None
    return sum(_name(task) == name for task in tasks)


def _name(task: str) -> str:
    try:
        return Path(_TASKS, task, "comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        # The thread has ended meanwhile.
        return ""
