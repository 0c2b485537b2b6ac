"""Records what was sent and what was answered, outside of the server's process.

A sender sends batch after batch, each after the answer to the one before, and never the same twice. What it has sent is
written by itself alone and read once it has ended, so it needs no lock.
"""

from __future__ import annotations

from array import array
from enum import IntEnum


class Outcome(IntEnum):
    """The outcome of a batch, as its sender knows it."""

    UNANSWERED = 0
    """The connection ended before the answer, or the answer left it open: the batch is stored as a whole or not at
    all."""
    ACKNOWLEDGED = 1
    """Answered with 202: the batch has to be stored as a whole."""
    REFUSED = 2
    """Answered with a refusal: the batch must not be stored."""


class SentBatches:
    """The batches of one sender, by number from 0."""

    def __init__(self) -> None:
        self._outcomes = bytearray()
        self._sizes = array("H")

    def __len__(self) -> int:
        return len(self._outcomes)

    def begin(self, events: int) -> int:
        """Registers a batch before its first byte is sent; returns its number."""
        self._sizes.append(events)
        self._outcomes.append(Outcome.UNANSWERED)
        return len(self._outcomes) - 1

    def settle(self, batch: int, outcome: Outcome) -> None:
        self._outcomes[batch] = outcome

    def outcome(self, batch: int) -> Outcome:
        return Outcome(self._outcomes[batch])

    def size(self, batch: int) -> int:
        return self._sizes[batch]


class Ledger:
    """The batches of all senders."""

    def __init__(self, senders: int) -> None:
        self.senders = [SentBatches() for _ in range(senders)]

    def count(self, outcome: Outcome) -> tuple[int, int]:
        """Batches with `outcome`, and the events in them."""
        sizes = [sent.size(n) for sent in self.senders for n in range(len(sent)) if sent.outcome(n) is outcome]
        return len(sizes), sum(sizes)
