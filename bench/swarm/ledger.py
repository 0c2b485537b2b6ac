"""The events that the users of one run were told are stored."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Writer:
    """A user's numbers on one stream: 0, 1, 2, … in the order it sends them."""

    run: str
    number: int
    stream: str
    taken: int = 0
    acknowledged: list[list[int]] = field(default_factory=list)
    """Ranges [first, end), rising, as few as there can be."""

    def take(self, events: int) -> range:
        """The next numbers."""
        first = self.taken
        self.taken += events
        return range(first, self.taken)

    def marks(self, numbers: range) -> Iterator[str]:
        """Returns a text for each event by which it is found again in whatever is stored of it."""
        return (f"{self.run}.{self.number}.{n}" for n in numbers)

    def acknowledge(self, numbers: range) -> None:
        if self.acknowledged and self.acknowledged[-1][1] == numbers.start:
            self.acknowledged[-1][1] = numbers.stop
        else:
            self.acknowledged.append([numbers.start, numbers.stop])

    @property
    def count(self) -> int:
        return sum(end - first for first, end in self.acknowledged)


class Progress:
    """Offsets that the members of a consumer group were handed, and that they committed, by partition."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.handed: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.committed: dict[int, int] = {}

    def hand(self, partition: int, offset: int) -> None:
        seen = self.handed[partition]
        if offset >= len(seen):
            seen.extend(bytes(offset + 1 - len(seen)))
        seen[offset] = 1

    def commit(self, partition: int, offset: int) -> None:
        self.committed[partition] = max(offset, self.committed.get(partition, 0))


class Ledger:
    """The ledger of one run of one process; every record of it carries the run's id, so that runs can share streams."""

    def __init__(self) -> None:
        self.run = os.urandom(5).hex()
        self.stream = f"locust-{self.run}"
        """The stream that the producers and consumers of the run share; nobody else writes to it."""
        self.writers: list[Writer] = []
        self.progress = Progress(f"locust-{self.run}")
        self.starts: dict[str, list[int]] = {}
        """Where each stream's partitions ended before the run."""
        self._cpu_seconds = time.process_time()
        self.refusals = 0
        self.waited_seconds = 0.0
        self.longest_wait_seconds = 0.0

    def writer(self, stream: str) -> Writer:
        found = Writer(self.run, len(self.writers), stream)
        self.writers.append(found)
        return found

    def cost(self) -> str:
        """Says what locust itself took until now, so that its limit is not taken for the server's."""
        events = sum(writer.count for writer in self.writers)
        seconds = time.process_time() - self._cpu_seconds
        return (
            f"locust: {events:,} events acknowledged, {seconds:.1f} s of its CPU: a process of it sends at most "
            f"{events / max(seconds, 0.001):,.0f}/s of this mix, `forebay bench` sends more"
        )

    def waited(self, seconds: float) -> None:
        """A 429 was obeyed for so long."""
        self.refusals += 1
        self.waited_seconds += seconds
        self.longest_wait_seconds = max(self.longest_wait_seconds, seconds)
