"""Run by `processors.py` with forebay's own Python: one processor over a file of transactions, in-process. Prints one
JSON object of figures, and writes the results to a file.

Usage: processing.py SHAPE ring|zstd INPUT OUTPUT DIRECTORY RESULTS
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import forebay
from forebay.processors.pipeline import Pipeline

from harness.turn import Turn

SOURCE, SINK, NAME = "transactions", "results", "bench"
BATCH = 5_000
POLL_S = 0.01
#: Longer than any run here takes; it only ends one that hangs.
LIMIT_S = 600
#: Results that are not there so long after the last record was processed will not come.
RESULTS_LIMIT_S = 20

Packed = tuple[bytes | None, bytes, bytes, int | None]

OPTIONS: dict[str, dict[str, Any]] = {
    # One journal file takes everything, so that nothing is sealed while it is measured.
    "ring": {"ring_bytes": 8 << 30, "journal_file_bytes": 1 << 30, "journal_file_age_seconds": 24 * 3600},
    "zstd": {"ring_bytes": 8 << 30, "journal_file_age_seconds": 1},
}


def counted(windowed: Pipeline) -> Pipeline:
    return windowed.aggregate("count", by="userId")


def large(begun: Pipeline) -> Pipeline:
    return begun.filter("value.amount > 1000")


SHAPES: dict[str, Callable[[Pipeline], Pipeline]] = {
    "tumbling": lambda begun: counted(large(begun).window.tumbling(minutes=5)),
    "tumbling-field": lambda begun: counted(large(begun).window.tumbling(minutes=5)).config(timestamp_field="at"),
    "sliding": lambda begun: counted(large(begun).window.sliding(hours=1, every=timedelta(minutes=1))),
    "copy": large,
    "map": lambda begun: begun.map("score"),
}


def packed(line: bytes) -> Packed:
    """A record whose value is JSON already, as `Log.append` makes one, with its event time."""
    return None, line, b"", json.loads(line)["at"] * 1000


def filled(log: forebay.Log, path: Path) -> int:
    """Appends every line with its event time, and returns how many."""
    total = 0
    with path.open("rb") as file:
        while batch := list(itertools.islice(file, BATCH)):
            records = [packed(line.rstrip()) for line in batch]
            log._engine.append(SOURCE, records, None)
            total += len(batch)
    return total


def until(ready: Callable[[], bool], what: str, seconds: float = LIMIT_S) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(POLL_S)


def sealed(log: forebay.Log) -> bool:
    stats = log.stats()
    return stats["seal_backlog_files"] == 0 and stats["ring_used_bytes"] == 0


def processed(log: forebay.Log, records: int, results: int) -> None:
    """Waits until everything is processed and stored. Results that never come are missing in the file."""
    last: list[float] = []

    def ready() -> bool:
        found = log.processors.metrics(NAME)
        if found.status != "running":
            raise RuntimeError(f"the processor is {found.status}: {found.reason}")
        figures = found.metrics
        if figures.lag or figures.events_processed < records:
            return False
        last.append(time.monotonic())
        return figures.results >= results or last[-1] - last[0] > RESULTS_LIMIT_S

    until(ready, "the processor")


def store(log: forebay.Log, output: Path, *, windows: bool) -> None:
    """Writes the values of the sink, with the starts of windows in milliseconds."""
    offset, starts = 0, dict[str, int]()
    with output.open("wb") as file:
        while batch := log.read(SINK, offset):
            offset = batch.next_offset
            for value in batch:
                if windows:
                    text = value["windowStart"]
                    if text not in starts:
                        starts[text] = int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)
                    value["windowStart"] = starts[text]
                file.write(json.dumps(value).encode() + b"\n")


def main() -> None:
    shape, kind, source, output, directory, results = sys.argv[1:]
    more: dict[str, Any] = {"functions": ["harness.scoring"]} if shape == "map" else {}
    with forebay.open(directory, processor_state_bytes=4 << 30, **OPTIONS[kind], **more) as log:
        log.create_stream(SOURCE, compression="zstd")
        records = filled(log, Path(source))
        if kind == "zstd":
            until(lambda: sealed(log), "sealing")
        begun = forebay.pipeline(NAME, source=SOURCE, offset="earliest").config(max_future=timedelta(0))
        pipeline = SHAPES[shape](begun).sink(SINK)
        with Turn() as turn:
            log.processors.create(pipeline)
            processed(log, records, int(results))
        store(log, Path(output), windows=shape not in ("copy", "map"))
    turn.print(records)


if __name__ == "__main__":
    main()
