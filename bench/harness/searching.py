"""Run by `search.py` with forebay's own Python: stores log events in a directory, or searches them, in-process.

Usage: searching.py load DIRECTORY EVENTS_FILE | searching.py ask DIRECTORY
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forebay

from harness import questions as q

STREAM = "logs"
BATCH = 1_000
POLL_S = 0.05
#: Longer than sealing and merging of any number of events here takes; it only ends a run that hangs.
LIMIT_S = 1_200
#: When the process has used no CPU for so long, everything is sealed and merged.
AT_REST_S, AT_REST_CPU_S = 3.0, 0.03
#: Where journal files are, which are laid out in advance: what is sealed is elsewhere.
JOURNAL = "journal"


def until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {LIMIT_S} s")
        time.sleep(POLL_S)


def sealed(log: forebay.Log) -> bool:
    stats = log.stats()
    return stats["seal_backlog_files"] == 0 and stats["ring_used_bytes"] == 0


def at_rest() -> bool:
    before = time.process_time()
    time.sleep(AT_REST_S)
    return time.process_time() - before < AT_REST_CPU_S


def load(directory: Path, events: Path) -> None:
    """Appends the events as they stand in the file, and waits until all of them are sealed."""
    began = time.process_time()
    with forebay.open(directory, journal_file_age_seconds=1) as log:
        with events.open("rb") as file:
            while batch := list(itertools.islice(file, BATCH)):
                # `Log.append` makes these of records whose values are JSON already.
                log._engine.append(STREAM, [(None, line.rstrip(), b"", None) for line in batch], None)
        until(lambda: sealed(log), "sealing")
        until(at_rest, "merging")
    used = time.process_time() - began
    stored = sum(
        path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file() and JOURNAL not in path.parts
    )
    q.Loaded(used, stored).print()


def questions(log: forebay.Log) -> q.Questions:
    def found(words: str = "", **conditions: str) -> Callable[[], int]:
        return lambda: log.search(words, **conditions).total

    def rows(limit: int | None = None, **conditions: str) -> Callable[[], int]:
        return lambda: sum(1 for _ in log.search(limit=limit, **conditions))

    return {
        q.RARE: found(q.RARE_WORD),
        q.ABSENT: found(q.ABSENT_WORD),
        q.TWO: found(" ".join(q.TWO_WORDS)),
        q.FEW: found(f'"{q.FEW_PHRASE}"'),
        q.COMMON: found(f'"{q.COMMON_PHRASE}"'),
        q.IP: found(f'"{q.ADDRESS}"'),
        q.UNIQUE: found(q.REQUEST),
        q.LETTERS: found(f"/{q.LETTERS_REGEXP}/"),
        q.LITERALS: found(f"/{q.LITERALS_REGEXP}/"),
        q.ERRORS: found(level=q.LEVEL),
        q.BY_SERVICE: lambda: log.search().stats("service").groups[q.SERVICE],  # type: ignore[index]
        q.ROWS: rows(user_id=str(q.USER)),
        q.COUNT: found(user_id=str(q.USER)),
        q.LAST: rows(q.NEWEST, service=q.SERVICE),
        q.SUBSTRING: found(f"/{q.PART}/"),
    }


def main() -> None:
    what, directory, *events = sys.argv[1:]
    if what == "load":
        load(Path(directory), Path(events[0]))
        return
    # Read-only: nothing but the searches uses CPU.
    with forebay.open(directory, read_only=True) as log:
        q.answer(questions(log))


if __name__ == "__main__":
    main()
