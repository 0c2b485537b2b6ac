"""Measures one turn of a peer from within its own process. Imports the standard library only: every peer has another
virtual environment, and gets this folder by PYTHONPATH."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.process import cpu_seconds


class Turn:
    """Wall clock, CPU time and peak memory of this process and its children between the begin and the end of a `with`.

    Attributes:
        seconds: wall clock.
        cpu: user and system time in seconds; children that are still running in ticks of 10 ms.
        rss_mb: the highest resident memory, of children too.
        before_mb: resident memory at the beginning.
    """

    def __enter__(self) -> Self:
        # Forgets the highest resident memory so far.
        Path("/proc/self/clear_refs").write_text("5")
        self.before_mb = status_mb(os.getpid(), "VmRSS")
        self._cpu, self._began = used(), time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds, self.cpu = time.perf_counter() - self._began, used() - self._cpu
        self.rss_mb = sum(status_mb(pid, "VmHWM") for pid in [os.getpid(), *children()])

    def print(self, records: int) -> None:
        """One JSON object: what the table shows, of so many records."""
        figures = {
            "per_second": records / self.seconds,
            "cpu": self.cpu / records * 1e6,
            "rss_mb": self.rss_mb,
            "before_mb": self.before_mb,
        }
        print(json.dumps(figures), flush=True)


def used() -> float:
    """CPU seconds of this process, of children that have ended, and of those that run."""
    ended = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in ended) + cpu_seconds(children())


def children() -> list[int]:
    """The processes that this one has started and not waited for."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            text = Path("/proc", entry, "stat").read_text() if entry.isdigit() else ""
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text and int(text[text.rindex(")") + 2 :].split()[1]) == os.getpid():
            found.append(int(entry))
    return found


def status_mb(pid: int, name: str) -> float:
    """A size in /proc/PID/status, in MB; 0 of a process that has ended."""
    try:
        lines = Path("/proc", str(pid), "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:")), 0.0)
