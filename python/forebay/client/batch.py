"""Events that go in one request."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.client.endpoint import Endpoint
    from forebay.client.spool.files import BatchFile


class EventsLost(Exception):
    """The file of a batch is gone or damaged: trying again brings nothing back."""


class Batch:
    """Events of one endpoint, in the order they came. A batch is open while events are added; when it is closed it gets
    its key, and its events stay as they are.

    `count` is the number of its events, `left` the number that are not settled. `events` is None when they are only in
    the spool. `cuts` are the indices at which the batch was split after a refusal, `settled` the ranges that are dealt
    with, `lost` the events among those that its file does not have any more. A part is sent under a key that follows
    from the batch's key and the part's range, so that whoever sends it again, also after a crash, sends the same bytes
    under the same key.
    """

    __slots__ = ("count", "cuts", "endpoint", "events", "file", "key", "left", "lost", "opened", "settled", "size")

    def __init__(self, endpoint: Endpoint, opened: float, file: BatchFile | None = None) -> None:
        self.endpoint = endpoint
        self.opened = opened
        self.file = file
        self.events: list[bytes] | None = []
        self.size = 0
        self.key = ""
        self.count = 0
        self.left = 0
        self.cuts: set[int] = set()
        self.settled: set[tuple[int, int]] = set()
        self.lost: list[int] = []

    @property
    def is_recovered(self) -> bool:
        """Tells whether another process wrote it."""
        return self.file is not None and self.file.directory.adopted

    @property
    def pending(self) -> int:
        return self.left if self.key else self.count

    def read(self) -> list[bytes]:
        """Returns its events.

        Raises:
            EventsLost: they are in the spool only, which has not all of them any more.
            OSError: the spool cannot be read now.
        """
        if self.events is not None:
            return self.events
        assert self.file is not None  # noqa: S101
        try:
            events = self.file.read()
        except FileNotFoundError:
            raise EventsLost(f"somebody removed the file {self.file.path}") from None
        for at in self.lost:
            events.insert(at, b"")
        if len(events) < self.count:
            raise EventsLost(f"{self.count} events were written, {len(events)} can be read")
        return events[: self.count]

    def parts(self) -> list[tuple[int, int]]:
        """Returns the ranges that are still to be sent, each in one request."""
        bounds = [0, *sorted(cut for cut in self.cuts if 0 < cut < self.count), self.count]
        return [part for part in pairwise(bounds) if part not in self.settled]

    def part_key(self, start: int, end: int) -> str:
        return self.key if (start, end) == (0, self.count) else f"{self.key}.{start}-{end}"
