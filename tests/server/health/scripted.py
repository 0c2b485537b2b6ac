"""An engine that says what a test wants, where a real one cannot be brought to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from forebay._forebay import MemoryBudget
from forebay.server.config import Settings
from forebay.server.health.context import CheckContext, Figures

MIB = 1 << 20

NAMES = [
    "event_ingestion",
    "event_processing",
    "log_storage",
    "commit_latency",
    "queue_depth",
    "error_rate",
    "system_resources",
]
"""The contract's, in its order."""


@dataclass
class QueueStats:
    """Commits are given as the list of all their milliseconds since the start."""

    jobs_waiting: int = 0
    oldest_job_ms: float = 0.0
    commits_waiting: int = 0
    taken: list[float] = field(default_factory=list)

    @property
    def commits(self) -> int:
        return len(self.taken)

    def commits_since(self, earlier: QueueStats) -> tuple[int, float, float, float]:
        lately = sorted(self.taken[earlier.commits :])
        if not lately:
            return 0, 0.0, 0.0, 0.0
        return len(lately), lately[len(lately) // 2], lately[int(len(lately) * 0.99)], lately[-1]


class Engine:
    def __init__(self) -> None:
        self.now = QueueStats()
        self.rings = {"logs": 0}
        self.state: dict[str, Any] = {
            "mode": "running",
            "reason": "",
            "sealer_stuck": None,
            "clock_doubt": None,
            "clock_problem": None,
            "troubles": [],
            "damages": [],
            "ring_used_bytes": 0,
            "ring_limit_bytes": 100 * MIB,
            "seal_backlog_files": 0,
            "workers": 0,
        }

    def status(self) -> dict[str, object]:
        return dict(self.state)

    def queue_stats(self) -> QueueStats:
        return self.now

    def streams(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name, ring_bytes=size) for name, size in self.rings.items()]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """Everything that the checks look at."""

    settings: Settings
    engine: Engine = field(default_factory=Engine)
    figures: Figures = field(default_factory=Figures)
    clock: Clock = field(default_factory=Clock)
    memory_budget: MemoryBudget = field(default_factory=lambda: MemoryBudget(100 * MIB))
    stopping: bool = False
    processor_problems: list[str] = field(default_factory=list)

    @property
    def context(self) -> CheckContext:
        engine = cast("Any", self.engine)
        return CheckContext(
            engine,
            self.settings,
            self.memory_budget,
            lambda: self.figures,
            lambda: self.stopping,
            lambda: self.processor_problems,
        )
