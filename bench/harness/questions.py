"""What every engine is asked in `search.py`, and how its answers are measured. Imports what every peer has: it runs in
the peers' interpreters too."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.log_events import RARE_WORD, UNIQUE_AT, request_id, user_id
from harness.turn import status_mb

ABSENT_WORD = "okapi"
TWO_WORDS = ("failed", "4242")
FEW_PHRASE = "after 7 retries of shard 351"
COMMON_PHRASE = "request completed"
ADDRESS = "10.42.17.99"
LETTERS_REGEXP = "[a-f]{8}"
LITERALS_REGEXP = "shard 35[0-9] with code E4[5-9][0-9]"
PART = RARE_WORD[1:-2]
LEVEL = "error"
SERVICE = "billing"
NEWEST = 100
REQUEST, USER = request_id(UNIQUE_AT), user_id(UNIQUE_AT)

RARE, ABSENT, TWO, FEW, COMMON = "rare word", "absent word", "two-word AND", "phrase, few hits", "phrase, 25 % of rows"
IP, UNIQUE, LETTERS, LITERALS = "IP as phrase", "unique request id", "regexp `[a-f]{8}`", "regexp with literals"
ERRORS, BY_SERVICE, ROWS, COUNT = "level=error count", "count by service", "user_id rows", "user_id count"
LAST, SUBSTRING = "last 100 of a service", "substring"

QUESTIONS = (
    *(RARE, ABSENT, TWO, FEW, COMMON, IP, UNIQUE, LETTERS, LITERALS),
    *(ERRORS, BY_SERVICE, ROWS, COUNT, LAST, SUBSTRING),
)
"""In the order of the table. The answer to each is a number: of events that are found, of rows that are read, or of the
events of `SERVICE` among the counts of all."""

Questions = Mapping[str, Callable[[], int]]


@dataclass(frozen=True)
class Loaded:
    """What it cost to store the events.

    Attributes:
        cpu: user and system time, in seconds, until everything is at rest on the disk.
        bytes: on the disk.
    """

    cpu: float
    bytes: int

    def print(self) -> None:
        print(json.dumps({"cpu": self.cpu, "bytes": self.bytes}), flush=True)


def own_cpu() -> float:
    """CPU seconds of all threads of this process."""
    return time.process_time()


def children_cpu() -> float:
    """CPU seconds of the processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(questions: Questions, clock: Callable[[], float] = own_cpu) -> dict[str, dict[str, float]]:
    """Asks each question twice and measures the second time: the first one makes it warm."""
    found = {}
    for name in QUESTIONS:
        ask = questions[name]
        ask()
        cpu, began = clock(), time.perf_counter()
        hits = ask()
        wall, used = time.perf_counter() - began, clock() - cpu
        found[name] = {"cpu_ms": used * 1e3, "wall_ms": wall * 1e3, "hits": hits}
    return found


def answer(questions: Questions) -> None:
    """Prints the figures of all questions, and the memory of this process: at rest, and the most while it was asked."""
    # Forgets the highest resident memory so far.
    Path("/proc/self/clear_refs").write_text("5")
    before = status_mb(os.getpid(), "VmRSS")
    figures = measured(questions)
    memory = {"before_mb": before, "rss_mb": status_mb(os.getpid(), "VmHWM")}
    print(json.dumps({"questions": figures, "memory": memory}), flush=True)


def size(directory: Path) -> int:
    """Bytes that the files below a directory take."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())
