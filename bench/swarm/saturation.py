"""More users step by step, until the server refuses or takes no more."""

from __future__ import annotations

import os
import re
import time

import psutil
from locust import LoadTestShape
from locust.runners import MasterRunner

STEP_USERS = int(os.environ.get("LOCUST_STEP_USERS", "10"))
STEP_SECONDS = float(os.environ.get("LOCUST_STEP_SECONDS", "5"))
MAX_USERS = int(os.environ.get("LOCUST_MAX_USERS", "500"))

REFUSED_SHARE = 0.05
"""The share of the events that a step tried to send from which the server is saturated, and says so with 429."""

GROWTH = 1.05
"""A step that brings less than this brings nothing: two in a row are the end."""

HELD_STEPS = 2
"""How long saturation is held, to see that the rate stays where it is while 429s are obeyed."""

BUSY_PERCENT = 90.0
"""The share of a core from which it is locust that is saturated; of all cores, the machine."""

REFUSED = " (429, waited)"
"""Behind the name of a request that was refused and is tried again when `Retry-After` is over."""

_EVENTS = re.compile(r"x (\d+)")


class Saturation(LoadTestShape):
    """Prints what each step brought, and why it ended. Counts only what the whole swarm's statistics hold, so that it
    works with `--processes` too."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    def begin(self) -> None:
        self._step = 1
        self._held: int | None = None
        self._idle_steps = 0
        self._best = 0.0
        self._last = (0, 0)
        self._since = 0.0
        self._cpu_seconds = time.process_time()

    def reset_time(self) -> None:
        """Called at the start of each run, the web UI's too."""
        super().reset_time()
        self.begin()

    def tick(self) -> tuple[int, float] | None:
        now = self.get_run_time()
        if now - self._since >= STEP_SECONDS:
            self._judge(now)
        if self._held is not None and self._held >= HELD_STEPS:
            return None
        return min(self._step * STEP_USERS, MAX_USERS), float(STEP_USERS)

    def _judge(self, now: float) -> None:
        taken, refused = self._counted()
        seconds, cpu = now - self._since, self._cpu_percent(now - self._since)
        rate, refusals = (taken - self._last[0]) / seconds, refused - self._last[1]
        machine = psutil.cpu_percent()
        share = refusals / max(refusals + taken - self._last[0], 1)
        self._last, self._since = (taken, refused), now
        print(
            f"saturation: {self.get_current_user_count()} users, {rate:,.0f} events/s acknowledged, "
            f"{share:.1%} of what was sent refused with 429, "
            f"locust at {cpu:.0f}% of a core, the machine at {machine:.0f}%",
            flush=True,
        )
        if self._held is not None:
            self._held += 1
            return
        self._idle_steps = self._idle_steps + 1 if rate < self._best * GROWTH else 0
        self._best = max(self._best, rate)
        if why := self._end(share, cpu, machine):
            self._held = 0
            print(f"saturation: {why}; held for {HELD_STEPS} steps", flush=True)
        else:
            self._step += 1

    def _end(self, share: float, cpu: float, machine: float) -> str:
        if share >= REFUSED_SHARE:
            return "the server refuses"
        if self._idle_steps >= 2 and cpu >= BUSY_PERCENT:
            return "locust itself is the bottleneck, not the server: use --processes, or measure with `forebay bench`"
        if self._idle_steps >= 2 and machine >= BUSY_PERCENT:
            return "the machine is busy, with locust, the server and whatever else runs on it: measure with another one"
        if self._idle_steps >= 2:
            return "more users bring no more events"
        if self._step * STEP_USERS >= MAX_USERS:
            return f"{MAX_USERS} users are the most"
        return ""

    def _cpu_percent(self, seconds: float) -> float:
        """The share of one core: this process's in the step, or that of the busiest worker."""
        before, self._cpu_seconds = self._cpu_seconds, time.process_time()
        if isinstance(self.runner, MasterRunner):
            return max((worker.cpu_usage for worker in self.runner.clients.values()), default=0.0)
        return (self._cpu_seconds - before) / seconds * 100

    def _counted(self) -> tuple[int, int]:
        """Events acknowledged until now, and refused with 429, those that were sent again and refused again twice."""
        taken = refused = 0
        for entry in self.runner.stats.entries.values() if self.runner is not None else ():
            size = _EVENTS.search(entry.name)
            if size is None:
                continue
            events = (entry.num_requests - entry.num_failures) * int(size[1])
            if entry.name.endswith(REFUSED):
                refused += events
            else:
                taken += events
        return taken, refused
