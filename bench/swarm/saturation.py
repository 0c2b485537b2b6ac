"""More users step by step, until the server refuses or takes no more."""

from __future__ import annotations

import os
import re

from locust import LoadTestShape

STEP_USERS = int(os.environ.get("LOCUST_STEP_USERS", "10"))
STEP_SECONDS = float(os.environ.get("LOCUST_STEP_SECONDS", "5"))
MAX_USERS = int(os.environ.get("LOCUST_MAX_USERS", "500"))

REFUSED_SHARE = 0.05
"""Of a step's ingest requests: from there on the server is saturated, and says so with 429."""

GROWTH = 1.05
"""A step that brings less than this brings nothing: two in a row are the end."""

HELD_STEPS = 2
"""How long saturation is held, to see that the rate stays where it is while 429s are obeyed."""

BUSY_PERCENT = 90.0
"""Of a core: from there on it is locust that is saturated."""

REFUSED = " (429, waited)"
"""Behind the name of a request that was refused and is tried again when `Retry-After` is over."""

_EVENTS = re.compile(r"× (\d+)")


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
        self._last = (0, 0, 0)
        self._since = 0.0

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
        events, answers, refused = self._counted()
        seconds = now - self._since
        rate = (events - self._last[0]) / seconds
        asked = answers + refused - self._last[1] - self._last[2]
        share = (refused - self._last[2]) / asked if asked else 0.0
        self._last, self._since = (events, answers, refused), now
        cpu = self.runner.current_cpu_usage if self.runner is not None else 0.0
        print(
            f"saturation: {self.get_current_user_count()} users, {rate:,.0f} events/s acknowledged, "
            f"{share:.1%} of the requests refused with 429, locust's CPU {cpu:.0f}%",
            flush=True,
        )
        if self._held is not None:
            self._held += 1
            return
        self._idle_steps = self._idle_steps + 1 if rate < self._best * GROWTH else 0
        self._best = max(self._best, rate)
        if why := self._end(share, cpu):
            self._held = 0
            print(f"saturation: {why}; held for {HELD_STEPS} steps", flush=True)
        else:
            self._step += 1

    def _end(self, share: float, cpu: float) -> str:
        if share >= REFUSED_SHARE:
            return "the server refuses"
        if self._idle_steps >= 2 and cpu >= BUSY_PERCENT:
            return "locust itself is the bottleneck, not the server: use --processes, or measure with `forebay bench`"
        if self._idle_steps >= 2:
            return "more users bring no more events"
        if self._step * STEP_USERS >= MAX_USERS:
            return f"{MAX_USERS} users are the most"
        return ""

    def _counted(self) -> tuple[int, int, int]:
        """Events acknowledged, ingest requests acknowledged and refused until now."""
        events = answers = refused = 0
        for entry in self.runner.stats.entries.values() if self.runner is not None else ():
            size = _EVENTS.search(entry.name)
            if size is None:
                continue
            if entry.name.endswith(REFUSED):
                refused += entry.num_requests
            else:
                answers += entry.num_requests - entry.num_failures
                events += (entry.num_requests - entry.num_failures) * int(size[1])
        return events, answers, refused
