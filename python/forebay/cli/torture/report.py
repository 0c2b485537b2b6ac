"""The result of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from forebay.cli.wording import counted

POWER_LOSS = (
    "A killed process leaves what it wrote to the operating system, so this says nothing about fsync: whether the disk "
    "keeps what it was told to keep shows only on a machine whose power is cut."
)


@dataclass(slots=True)
class TortureReport:
    """Counts and findings of a run; `passed` when there is no finding."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    """Kills by what the server was doing."""
    start_seconds: list[float] = field(default_factory=list)
    """Seconds from the start of the process to its first answer, for each restart."""
    acknowledged: tuple[int, int] = (0, 0)
    """Numbers of batches and of their events."""
    refused: int = 0
    unanswered: int = 0
    unanswered_present: int = 0
    events_read: int = 0
    events_expired: int = 0
    """Records that retention deleted after they had been read."""
    disk_bytes: int = 0
    """The largest observed size of the data directory."""
    findings: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.findings

    def lines(self) -> list[str]:
        """The result as lines of text."""
        kills = ", ".join(f"{count} {when}" for when, count in sorted(self.kills.items()))
        batches, events = self.acknowledged
        start = sorted(self.start_seconds) or [0.0]
        lines = [
            f"{sum(self.kills.values())} kills ({kills}), seed {self.seed}",
            f"{batches} batches acknowledged, {events} events in them; {self.refused} refused; "
            f"{self.unanswered} unanswered, of which {self.unanswered_present} were stored",
            f"{self.events_read} events read back and checked, {self.events_expired} of them expired since",
            f"start: median {start[len(start) // 2]:.2f} s, longest {start[-1]:.2f} s; "
            f"data directory: at most {self.disk_bytes / (1 << 20):.0f} MiB",
        ]
        if self.passed:
            lines.append("PASSED: every acknowledged event was there once, no batch was there in part")
        else:
            lines += [f"FINDING: {finding}" for finding in self.findings]
            lines.append(f"FAILED: {counted(len(self.findings), 'finding')}")
        return [*lines, POWER_LOSS]
