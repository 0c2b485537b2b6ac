"""Checks that what was acknowledged can be read back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from swarm.api import Api, Refused
from swarm.ledger import Ledger, Progress, Writer

SHOWN = 5
"""Marks that a difference names; the count says how many there are."""


@dataclass
class Finding:
    """The finding about one stream, or the group."""

    what: str
    acknowledged: int
    found: int
    wrong: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        state = "; ".join(self.wrong) if self.wrong else "nothing is missing, nothing is there twice"
        return f"{self.what}: {self.acknowledged:,} acknowledged, {self.found:,} read back: {state}"


def read_back(api: Api, ledger: Ledger) -> list[Finding]:
    """One finding for each stream that the run wrote to, and one for its group. Never raises: what cannot be read is a
    difference too."""
    findings = []
    for stream in sorted({writer.stream for writer in ledger.writers}):
        writers = [writer for writer in ledger.writers if writer.stream == stream]
        acknowledged = sum(writer.count for writer in writers)
        try:
            counts = seen_on(api, ledger, stream)
        except Refused as refused:
            findings.append(Finding(stream, acknowledged, 0, [str(refused)]))
        else:
            findings.append(compared(stream, writers, counts))
    if ledger.progress.committed:
        try:
            findings.append(group_finding(ledger.progress, api.committed(ledger.progress.group, ledger.stream)))
        except Refused as refused:
            count = sum(ledger.progress.committed.values())
            findings.append(Finding(f"group {ledger.progress.group}", count, 0, [str(refused)]))
    return findings


def seen_on(api: Api, ledger: Ledger, stream: str) -> dict[int, bytearray]:
    """How often each number of each writer is stored, at most 255 times."""
    marks = re.compile(rb"\b%s\.(\d+)\.(\d+)\b" % ledger.run.encode())
    found: dict[int, bytearray] = {}
    starts = ledger.starts.get(stream, [])
    for partition, (kept, end) in enumerate(api.partitions(stream)):
        start = starts[partition] if partition < len(starts) else 0
        # A stream that ends before where it ended at first is another one: then all of it is looked through.
        first = kept if start > end else max(kept, start)
        for text in api.pages(stream, partition, first, end):
            for writer, number in marks.findall(text):
                _count(found.setdefault(int(writer), bytearray()), int(number))
    return found


def _count(seen: bytearray, number: int) -> None:
    if number >= len(seen):
        seen.extend(bytes(number + 1 - len(seen)))
    seen[number] = min(seen[number] + 1, 255)


def compared(stream: str, writers: Sequence[Writer], counts: dict[int, bytearray]) -> Finding:
    """Compares what was acknowledged with what is there. Events whose answer never came may be there, once."""
    finding = Finding(stream, sum(writer.count for writer in writers), 0)
    missing, doubled, missing_marks, doubled_marks = 0, 0, [], []
    for writer in writers:
        seen = counts.get(writer.number, bytearray())
        finding.found += len(seen) - seen.count(0)
        twice = len(seen) - seen.count(0) - seen.count(1)
        if twice:
            doubled += twice
            doubled_marks += [mark(writer, n) for n, times in enumerate(seen) if times > 1][:SHOWN]
        for first, end in writer.acknowledged:
            part = seen[first:end]
            gone = part.count(0) + (end - first) - len(part)
            if gone:
                missing += gone
                lost = (n for n in range(first, end) if n >= len(seen) or not seen[n])
                missing_marks += [mark(writer, n) for n, _ in zip(lost, range(SHOWN), strict=False)]
    if missing:
        finding.wrong.append(f"{missing:,} MISSING ({', '.join(missing_marks[:SHOWN])}, …)")
    if doubled:
        finding.wrong.append(f"{doubled:,} STORED TWICE ({', '.join(doubled_marks[:SHOWN])}, …)")
    return finding


def mark(writer: Writer, number: int) -> str:
    return f"{writer.run}.{writer.number}.{number}"


def group_finding(progress: Progress, offsets: dict[int, int]) -> Finding:
    """Acknowledged commits stand, and nothing before them was withheld from the members."""
    finding = Finding(f"group {progress.group}", sum(progress.committed.values()), sum(offsets.values()))
    for partition, committed in sorted(progress.committed.items()):
        now = offsets.get(partition, 0)
        if now < committed:
            finding.wrong.append(f"partition {partition} is committed to {now}, acknowledged was {committed}: LOST")
        handed = progress.handed[partition][:committed]
        skipped = committed - len(handed) + handed.count(0)
        if skipped:
            finding.wrong.append(
                f"{skipped:,} records of partition {partition} SKIPPED: committed, but never handed out"
            )
    return finding
