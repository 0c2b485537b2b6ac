"""What to do with a part of a batch that is refused whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

import msgspec

from forebay.client.verdict import FORBIDDEN, Verdict


class _Row(msgspec.Struct):
    project_id: str


_DECODER = msgspec.json.Decoder(_Row)


@dataclass(frozen=True, slots=True)
class Split:
    """Where to cut the part, and the ranges in it that are refused with certainty. All are indices within the part."""

    cuts: list[int]
    refused: list[tuple[int, int]] = field(default_factory=list)


def split(found: Verdict, events: list[bytes]) -> Split:
    """Of a part with several events.

    Who may not write an event's project may not write the project's others either: with it they are all refused, as
    one answer says, and what is between them goes on. Else the cuts are around the event that is named, or in halves.
    The named one goes alone rather than out, so that a wrong name costs a request and not an event.
    """
    index = found.index
    if index is None:
        return Split([len(events) // 2])
    if found.status == FORBIDDEN and (project := _project(events[index])) is not None:
        return _without(project, events)
    return Split([index, index + 1])


def _without(project: str, events: list[bytes]) -> Split:
    cuts, refused, at = [], [], 0
    for is_refused, group in groupby(events, lambda event: _project(event) == project):
        start, at = at, at + len(list(group))
        cuts += [start, at]
        if is_refused:
            refused.append((start, at))
    return Split(cuts, refused)


def _project(event: bytes) -> str | None:
    """Of a log event; others have none."""
    try:
        return _DECODER.decode(event).project_id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
