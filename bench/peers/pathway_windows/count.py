"""The same by Pathway over the file, of one thread. Usage: count.py INPUT OUTPUT RECORDS [once]

Without a behavior a live source would give results that are retracted and given again; with `once` each is given when
its window has ended.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pathway as pw

from harness.transactions import THRESHOLD, WINDOW_MS
from harness.turn import Turn


class Transaction(pw.Schema):
    userId: str  # noqa: N815 - as the input has it
    amount: float
    at: int


def build(source: str, changes: str, *, once: bool) -> None:
    table = pw.io.jsonlines.read(source, schema=Transaction, mode="static")
    behavior = pw.temporal.exactly_once_behavior() if once else None
    windowed = table.filter(pw.this.amount > THRESHOLD).windowby(
        pw.this.at, window=pw.temporal.tumbling(duration=WINDOW_MS), instance=pw.this.userId, behavior=behavior
    )
    result = windowed.reduce(windowStart=pw.this._pw_window_start, key=pw.this._pw_instance, count=pw.reducers.count())
    pw.io.jsonlines.write(result, changes)


def fold(changes: Path, output: Path) -> None:
    """What the changes come to."""
    held: dict[str, int] = {}
    for line in changes.read_text().splitlines():
        change = json.loads(line)
        row = json.dumps({name: change[name] for name in ("windowStart", "key", "count")})
        held[row] = held.get(row, 0) + change["diff"]
    output.write_text("".join(f"{row}\n" * times for row, times in held.items()))


def main() -> None:
    source, output, records = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    changes = output.with_suffix(".changes")
    build(source, str(changes), once=sys.argv[4:] == ["once"])
    with Turn() as turn:
        pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    fold(changes, output)
    turn.print(records)


if __name__ == "__main__":
    main()
