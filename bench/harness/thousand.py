"""Run by `processors.py` with forebay's own Python: appends at a steady rate beside many processors, or none. Prints
one JSON object.

Usage: thousand.py INPUT DIRECTORY PROCESSORS
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import forebay

from harness.processing import SOURCE, Packed, packed, until
from harness.turn import Turn

#: Records of one append, and appends a second.
BATCH, PER_SECOND = 10, 100


def create(log: forebay.Log, processors: int) -> list[str]:
    """Each has a filter and a sink of its own."""
    names = [f"rule-{number:04d}" for number in range(processors)]
    for number, name in enumerate(names):
        pipeline = (
            forebay.pipeline(name, source=SOURCE)
            .filter(f"value.amount > {1000 + number}")
            .window.tumbling(minutes=5)
            .aggregate("count", by="userId")
            .sink(f"alerts-{number:04d}")
            .config(max_future=timedelta(0))
        )
        log.processors.create(pipeline)
    return names


def append(log: forebay.Log, records: list[Packed]) -> list[float]:
    """Milliseconds of each append from when it was due, sorted: a stall is felt by all that were due in it."""
    taken: list[float] = []
    began, source = time.perf_counter(), iter(records)
    for number in itertools.count():
        batch = list(itertools.islice(source, BATCH))
        if not batch:
            return sorted(taken)
        due = began + number / PER_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        log._engine.append(SOURCE, batch, None)
        taken.append((time.perf_counter() - due) * 1e3)
    return taken


def caught_up(log: forebay.Log, name: str) -> bool:
    return log.processors.metrics(name).metrics.lag == 0


def main() -> None:
    source, directory, processors = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    records = [packed(line) for line in source.read_bytes().splitlines()]
    with forebay.open(directory) as log:
        log.create_stream(SOURCE)
        names = create(log, processors)
        with Turn() as turn:
            taken = append(log, records)
            for name in names:
                until(partial(caught_up, log, name), name)
        found = [log.processors.metrics(name).metrics for name in names]
    figures: dict[str, Any] = {
        "per_second": len(records) / turn.seconds,
        "cpu": turn.cpu / len(records) * 1e6,
        "rss_mb": turn.rss_mb,
        "before_mb": turn.before_mb,
        "p50_ms": taken[len(taken) // 2],
        "p99_ms": taken[len(taken) * 99 // 100],
        "results": sum(one.results for one in found),
        "processed": sum(one.events_processed for one in found),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
