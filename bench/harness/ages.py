"""How old views are: from the acknowledgement of an event to the first answer that counts it. Imports the standard
library only, and nothing of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class RunningTotal:
    """All events that the windows of several minutes have shown: an answer tells of one or two of them."""

    def __init__(self) -> None:
        self._totals: dict[str, int] = {}

    def after(self, windows: Iterable[Mapping[str, Any]]) -> int:
        """The total once these windows were shown; of a minute the last answer holds."""
        self._totals.update((one["windowStart"], one["total"]) for one in windows)
        return sum(self._totals.values())


def ages(acknowledged: Sequence[tuple[float, int]], answers: Sequence[tuple[float, int]]) -> list[float]:
    """Seconds from the acknowledgement of each event to the first answer of which the total includes it, in the order
    of the acknowledgements, in which the events are taken to have been counted. 0 for what was counted before it was
    acknowledged.

    Args:
        acknowledged: when, and how many events; by time.
        answers: when each came, and the total that it told; by time.

    Raises:
        ValueError: no answer includes an event.
    """
    found: list[float] = []
    following = iter(answers)
    at, total = 0.0, 0
    for acknowledged_at, events in acknowledged:
        for _ in range(events):
            while total <= len(found):
                try:
                    at, total = next(following)
                except StopIteration:
                    raise ValueError(f"the answers count {total:,} events, not the one after") from None
            found.append(max(0.0, at - acknowledged_at))
    return found
