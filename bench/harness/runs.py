"""Measured figures, as JSON in bench/runs: one file for each run and table. README.md and history.svg come of them."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import machine
from harness.cache import BENCH
from harness.disk import SyncLatency

RUNS = BENCH / "runs"

ALL = "all"
"""The column of a row that has one measurement only."""

Figures = dict[str, float]
"""By name: `per_second`, `cpu` and `settled_cpu` (CPU seconds per million events), `p50_ms`, `p99_ms`, `max_ms`,
`call_us` (CPU microseconds a call), `failures`, `rss_mb` (the highest resident memory) and `before_mb` (that at the
beginning). Of searches, by question: `cpu_ms`, `wall_ms` and `hits`, and `bytes_event`, which are stored for one event.
What was not measured is not there."""


@dataclass(frozen=True)
class Row:
    """One server, log or way of sending: who it is, what its acknowledgement means, and its figures by load."""

    who: str
    ack: str
    figures: dict[str, Figures]


@dataclass(frozen=True)
class Run:
    """One run of one of the programs in bench/.

    Attributes:
        table: servers, logs, streams, events, clients, processors, analytics or search.
        at: when it began, RFC 3339 in UTC. Of runs from before this file existed only the day was kept: theirs is the
            time of the commit.
        commit: the short hash, with a + when files of the repository differed from it.
        busy: the share of the machine that others used when it began.
        place: processor, memory, kernel, file system and cores; empty where it was not kept.
        disk: write + fdatasync by number of bytes.
    """

    table: str
    at: str
    commit: str
    rows: list[Row]
    busy: float = 0.0
    place: str = ""
    disk: list[SyncLatency] = field(default_factory=list)

    @property
    def quiet(self) -> bool:
        """Returns whether its figures can be compared."""
        return self.busy <= machine.BUSY_ABOVE

    @property
    def name(self) -> str:
        busy = "" if self.quiet else f" (others used {self.busy:.0%} of the machine)"
        return f"{self.at[:10]} {self.commit}{busy}"

    @property
    def file_name(self) -> str:
        return f"{self.at[:10]}-{self.commit}-{self.table}.json"

    def save(self, directory: Path = RUNS) -> Path:
        directory.mkdir(exist_ok=True)
        path = directory / self.file_name
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False) + "\n")
        return path


@dataclass(frozen=True)
class Conditions:
    """The part of a run that is known before it measures."""

    at: str
    commit: str
    busy: float
    place: str

    @staticmethod
    def now(place: str) -> Conditions:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return Conditions(at, machine.commit(), machine.used_by_others(), place)

    def run(self, table: str, rows: Iterable[Row], disk: Sequence[SyncLatency] = ()) -> Run:
        return Run(table, self.at, self.commit, list(rows), self.busy, self.place, list(disk))


def load(path: Path) -> Run:
    plain = json.loads(path.read_text())
    rows = [Row(**row) for row in plain.pop("rows")]
    disk = [SyncLatency(**one) for one in plain.pop("disk")]
    return Run(**plain, rows=rows, disk=disk)


def load_all(directory: Path = RUNS) -> list[Run]:
    """Every run that was kept, the newest first."""
    return sorted((load(path) for path in directory.glob("*.json")), key=lambda run: (run.at, run.table), reverse=True)
