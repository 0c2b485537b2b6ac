"""Compares the records of a log with what its senders know."""

from __future__ import annotations

from array import array
from typing import Any

import msgspec

from forebay.cli.commands.source import Source
from forebay.cli.torture.events import Row, is_intact
from forebay.cli.torture.ledger import Ledger, Outcome
from forebay.errors import InvalidOffset

STREAM = "logs"
PAGE_RECORDS = 10_000

MAX_FINDINGS = 50
"""The most findings that are kept. The first ones show what is wrong; a lost file would bring one for each event."""

_BATCH_BITS, _INDEX_BITS = 32, 16


class Partition:
    """The records of one partition that were read so far."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.places = array("Q")
        """Sender, batch and index of the record at each offset from `start` on, packed into a number."""
        self.last: dict[int, int] = {}
        """The last position by sender."""

    @property
    def end(self) -> int:
        return self.start + len(self.places)

    def cut(self, start: int) -> None:
        """Drops records before `start`."""
        if start > self.start:
            del self.places[: start - self.start]
            self.start = start


class Audit:
    """Reads new records and checks them: offsets without a gap, events intact, in the order in which
    each sender sent them (so none twice). `settle` then checks the batches: acknowledged ones whole, others whole or
    absent. `again` reads everything once more and compares it with the first reading."""

    def __init__(self, run: str, ledger: Ledger) -> None:
        self.findings: list[str] = []
        self.suppressed = 0
        self.events = 0
        self.expired = 0
        self._run = run
        self._ledger = ledger
        self._partitions: dict[int, Partition] = {}
        self._home: dict[str, int] = {}
        self._found = [array("H") for _ in ledger.senders]
        self._settled = [0 for _ in ledger.senders]
        self._decoder = msgspec.json.Decoder(Row)

    def find(self, finding: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
        else:
            self.suppressed += 1

    def catch_up(self, source: Source) -> None:
        """Reads the records that are new since the last call."""
        for number, start, end in _bounds(source):
            known = self._partitions.setdefault(number, Partition(0))
            if end < known.end:
                self.find(f"partition {number} ends at {end}, but was read up to {known.end} before")
                continue
            if start < known.start:
                self.find(f"partition {number} starts at {start}, after it had started at {known.start}")
            if start > known.end:
                self.find(
                    f"offsets {known.end} to {start - 1} of partition {number} were deleted before they were read"
                )
                self.expired += start - known.start
                known.places = array("Q")
                known.start = start
            for row in self._rows(source, number, known.end, end):
                self._observe(row, known)
            self.expired += max(0, start - known.start)
            known.cut(start)

    def again(self, source: Source) -> None:
        """Reads all kept records; each offset has to hold the same record as before."""
        for number, start, _end in _bounds(source):
            known = self._partitions.setdefault(number, Partition(0))
            known.cut(start)
            try:
                rows = self._rows(source, number, known.start, known.end)
            except InvalidOffset:
                # Retention deleted records while this was reading; they no longer matter.
                continue
            for row in rows:
                if known.places[row.offset - known.start] != _place(row):
                    self.find(f"{_where(row)} holds another event than when it was read before")
                if not is_intact(row):
                    self.find(f"{_where(row)}: the event is not as it was sent")

    def settle(self, *, stopped: bool = False) -> None:
        """Checks the batches sent since the last call, none of which is in flight any more.

        Args:
            stopped: the server was told to stop. Then a batch without an answer was never read, so it is absent.
        """
        for number, sent in enumerate(self._ledger.senders):
            found = self._counts(number)
            for batch in range(self._settled[number], len(sent)):
                size, outcome = sent.size(batch), sent.outcome(batch)
                if found[batch] == size and outcome is not Outcome.REFUSED and (outcome or not stopped):
                    continue
                if found[batch] == 0 and outcome is not Outcome.ACKNOWLEDGED:
                    continue
                name = outcome.name.lower()
                self.find(f"sender {number} batch {batch}, {name}: {found[batch]} of its {size} events are there")
            self._settled[number] = len(sent)

    def present(self, outcome: Outcome) -> int:
        """Batches with `outcome` of which something was found."""
        return sum(
            found > 0 and sent.outcome(batch) is outcome
            for number, sent in enumerate(self._ledger.senders)
            for batch, found in enumerate(self._counts(number))
        )

    def _rows(self, source: Source, partition: int, offset: int, end: int) -> list[Row]:
        rows: list[Row] = []
        while offset < end:
            lines, following, _lost = source.page(STREAM, partition, offset, min(PAGE_RECORDS, end - offset))
            try:
                page = self._decoder.decode_lines(lines)
            except msgspec.DecodeError as error:
                self.find(f"partition {partition}: a read from {offset} to {following} brought no events: {error}")
                break
            if [row.offset for row in page] != list(range(offset, following)) or following <= offset:
                offsets = [row.offset for row in page]
                self.find(
                    f"partition {partition}: a read from {offset} to {following} brought the offsets {offsets[:9]}"
                )
                break
            rows += page
            offset = following
        return rows

    def _observe(self, row: Row, known: Partition) -> None:
        stamp = row.value.metadata
        self.events += 1
        known.places.append(_place(row))
        if stamp.run != self._run or not 0 <= stamp.sender < len(self._ledger.senders):
            self.find(f"{_where(row)} holds an event that was not sent here")
            return
        sent = self._ledger.senders[stamp.sender]
        if stamp.batch >= len(sent) or stamp.of != sent.size(stamp.batch) or not is_intact(row):
            self.find(f"{_where(row)}: the event is not as it was sent")
            return
        if self._home.setdefault(row.value.project_id, row.partition) != row.partition:
            self.find(f"{_where(row)}: the project's other events are in another partition")
        place = _place(row)
        if place <= known.last.get(stamp.sender, -1):
            self.find(f"{_where(row)}: batch {stamp.batch} event {stamp.index} is there twice, or out of order")
            return
        known.last[stamp.sender] = place
        if stamp.batch < self._settled[stamp.sender]:
            self.find(f"{_where(row)}: batch {stamp.batch} was not there before, and nobody has sent it since")
        self._counts(stamp.sender)[stamp.batch] += 1

    def _counts(self, sender: int) -> array[int]:
        counts = self._found[sender]
        counts.extend(0 for _ in range(len(self._ledger.senders[sender]) - len(counts)))
        return counts


def _bounds(source: Source) -> list[tuple[int, int, int]]:
    """Number, start and end of every partition."""
    details: list[dict[str, Any]] = []
    for stream in source.streams():
        if stream["name"] == STREAM:
            details = stream["partitionDetails"]
    return [(row["partition"], row["startOffset"], row["endOffset"]) for row in details]


def _place(row: Row) -> int:
    stamp = row.value.metadata
    return (stamp.sender << _BATCH_BITS | stamp.batch) << _INDEX_BITS | stamp.index


def _where(row: Row) -> str:
    return f"partition {row.partition} offset {row.offset} (sender {row.value.metadata.sender})"
