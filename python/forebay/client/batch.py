"""Events that go in one request."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.client.lane import Lane
    from forebay.client.segment import Place


class Batch:
    """Events of one lane, in the order they came. Open while events are added; once it is closed it has its key, and
    what it holds stays.

    `count` is the number of its events and, once it is closed, `left` of those that are not settled. `items` are the
    encoded events, or None when they are only in the spool; `cuts` are the indices at which it was split after a
    refusal, `settled` the ranges that are dealt with. A part is sent under a key of its own that follows from the
    batch's and its range, so that whoever sends it again, also after a crash, sends the same under the same key.
    """

    __slots__ = (
        "count",
        "cuts",
        "items",
        "key",
        "lane",
        "left",
        "opened",
        "place",
        "recovered",
        "settled",
        "size",
        "weight",
    )

    def __init__(self, lane: Lane, opened: float, place: Place | None = None) -> None:
        self.lane = lane
        self.items: list[bytes] | None = []
        self.size = 0
        self.weight = 0
        """What it counts in the memory that closed batches of a spool take."""
        self.opened = opened
        self.key = ""
        self.count = 0
        self.left = 0
        self.cuts: set[int] = set()
        self.settled: set[tuple[int, int]] = set()
        self.place = place
        self.recovered = False

    @property
    def pending(self) -> int:
        """Its events that are not settled."""
        return self.left if self.key else self.count

    def held(self) -> list[bytes]:
        """Its events. Raises OSError when they are in the spool and that cannot be read."""
        if self.items is not None:
            return self.items
        assert self.place is not None  # noqa: S101
        events = self.place.read()
        if len(events) != self.count:
            raise OSError(f"{self.count} events were written, {len(events)} can be read")
        return events

    def parts(self) -> list[tuple[int, int]]:
        """The ranges that are to be sent, each in one request."""
        bounds = [0, *sorted(cut for cut in self.cuts if 0 < cut < self.count), self.count]
        return [part for part in pairwise(bounds) if part not in self.settled]

    def part_key(self, start: int, end: int) -> str:
        return self.key if (start, end) == (0, self.count) else f"{self.key}.{start}-{end}"
