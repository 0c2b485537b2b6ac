"""Figures as text, and the best of several rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.load import Measurement
from harness.log_peer import LogMeasurement
from harness.runs import Figures


@dataclass(frozen=True)
class Best:
    """The best of the rounds for each figure: interference only ever makes a figure worse."""

    events_per_second: float
    p50_ms: float
    p99_ms: float
    cpu: float
    settled_cpu: float
    failures: int

    @staticmethod
    def of(rounds: Sequence[Measurement]) -> Best:
        return Best(
            events_per_second=max(one.events_per_second for one in rounds),
            p50_ms=min(one.p50_ms for one in rounds),
            p99_ms=min(one.p99_ms for one in rounds),
            cpu=min(one.cpu_s_per_million for one in rounds),
            settled_cpu=min(one.settled_cpu_s_per_million for one in rounds),
            failures=max(one.failures for one in rounds),
        )

    def figures(self) -> Figures:
        plain = {
            "per_second": self.events_per_second,
            "cpu": self.cpu,
            "settled_cpu": self.settled_cpu,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
        }
        return plain | ({"failures": float(self.failures)} if self.failures else {})

    def paced(self) -> Figures:
        """Without CPU time, which is that of the closed loop."""
        return {name: value for name, value in self.figures().items() if name not in ("cpu", "settled_cpu")}


def figure(value: float) -> str:
    """Three significant digits, as many as these figures carry."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def milliseconds(seconds: Sequence[float]) -> Figures:
    """The median, the 99th percentile and the most of what was taken."""
    taken = sorted(seconds)
    at = {"p50_ms": len(taken) // 2, "p99_ms": len(taken) * 99 // 100, "max_ms": len(taken) - 1}
    return {name: taken[place] * 1e3 for name, place in at.items()}


def best_log(rounds: Sequence[LogMeasurement]) -> LogMeasurement:
    return LogMeasurement(
        records_per_second=max(one.records_per_second for one in rounds),
        p50_ms=min(one.p50_ms for one in rounds),
        p99_ms=min(one.p99_ms for one in rounds),
        cpu_s_per_million=min(one.cpu_s_per_million for one in rounds),
    )


def row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
