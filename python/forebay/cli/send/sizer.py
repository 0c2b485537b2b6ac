"""Decides what becomes of a refused batch: which of its lines are rejected, and how many of the rest go at once."""

from __future__ import annotations

from collections.abc import Sequence

from forebay.cli.send.batches import BATCH_EVENTS, Batch, Line, Rejection
from forebay.cli.send.connection import Refused
from forebay.client.results import FORBIDDEN, MALFORMED, of_same_project

ALIKE = 8
"""This many lines in a row, each refused alone for one and the same reason that names none of them, speak for the rest
of their batch: a request each would say no more, and whatever answers so is hardly judging events."""


class BatchSizer:
    """Decides how many lines go in a request: as many as fit, fewer after a refusal, twice as many after each success.
    It is kept from batch to batch, so that an input that is refused throughout costs no more bytes than it has."""

    def __init__(self) -> None:
        self.size = BATCH_EVENTS
        self._alike = 0
        self._reason = ""

    def accepted(self) -> None:
        self.size = min(BATCH_EVENTS, 2 * self.size)
        self._alike = 0

    def refused(self, lines: Sequence[Line], part: Batch, refusal: Refused) -> list[Rejection]:
        """Returns those of `lines`, of which `part` are the first, that are not to be sent again; none when a smaller
        part is to be tried."""
        if refusal.index is None:
            return self._unnamed(lines, part, refusal)
        self._alike = 0
        if refusal.status == FORBIDDEN:
            alien = of_same_project([line.text for line in lines], refusal.index)
            return [Rejection(lines[at], refusal.reason) for at in alien]
        # What comes before it is good, what comes behind is not known.
        self.size = min(BATCH_EVENTS, 2 * (refusal.index + 1))
        return [Rejection(part.lines[refusal.index], refusal.reason)]

    def _unnamed(self, lines: Sequence[Line], part: Batch, refusal: Refused) -> list[Rejection]:
        if len(part.lines) > 1:
            self.size = len(part.lines) // 2
            return []
        self._alike = self._alike + 1 if refusal.reason == self._reason else 1
        self._reason = refusal.reason
        rejections = [Rejection(part.lines[0], refusal.reason)]
        if refusal.status == MALFORMED and self._alike >= ALIKE:
            reason = f"{refusal.reason} (said of those before it, one by one; this one was not sent alone)"
            rejections += [Rejection(line, reason) for line in lines[1:]]
        return rejections


def remaining(lines: list[Line], rejections: Sequence[Rejection]) -> list[Line]:
    """Leaves out those that are rejected."""
    out = {rejection.line.end for rejection in rejections}
    return [line for line in lines if line.end not in out]
