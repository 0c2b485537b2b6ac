"""Reads what an answer says of each event of a batch, and splits a refused batch."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

REASON_CHARACTERS = 500
"""Kept of what is not a forebay server's envelope."""

MALFORMED = 400
UNAUTHORIZED = 401
FORBIDDEN = 403
TOO_LARGE = 413
MISMATCH = 422

OF_THE_ENGINE = "is the engine's own"
"""In the reason of a 403 that no other token would change."""

ROUTE = re.compile(r"/(v1/drain|v1/analytics/track|api/events|api/v1/streams/[^/]+/events)(/batch)?/?\Z")
"""A route that takes events, at the end of a path."""

_INDEX = re.compile(r"(?:events)?\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcome of a request that was answered for good.

    Attributes:
        rejected: the reasons of the refused events by their index, those that the server put aside among them.
        quarantined: how many more it put aside without saying which: beyond the number that one answer names, or
            because it is of an older release, which only counts them.
        status: of a request that is refused whole, of which nothing is stored; 0 for one that is not.
        reason: why it is refused whole, without the place of the event.
        index: the event that a whole refusal is owed to, as far as the answer names one; it may be none of the batch.
        is_drain_s: a whole refusal has the drain's own envelope.
    """

    rejected: dict[int, str] = field(default_factory=dict)
    quarantined: int = 0
    status: int = 0
    reason: str = ""
    index: int | None = None
    is_drain_s: bool = False

    @property
    def whole(self) -> str:
        """Why nothing is stored; empty when something may be."""
        return f"{self.status}: {self.reason}" if self.status else ""

    @property
    def splits(self) -> bool:
        """Tells whether the refusal may be owed to one event (its shape, its project, its size), so that the others may
        be good on their own."""
        return self.status in (MALFORMED, TOO_LARGE) or (self.status == FORBIDDEN and self.index is not None)

    @property
    def is_of_token(self) -> bool:
        """Tells whether the token is refused, rather than what was sent with it, or to a stream that takes no
        publication of anybody's."""
        if self.status == FORBIDDEN:
            return self.index is None and OF_THE_ENGINE not in self.reason
        return self.status == UNAUTHORIZED


class _Body(msgspec.Struct):
    """The members of any route's answer that are of use here."""

    error: Any = None
    code: Any = None
    errors: list[Any] | msgspec.UnsetType = msgspec.UNSET
    results: list[Any] | msgspec.UnsetType = msgspec.UNSET
    quarantined: int = 0
    status: Any = None
    processed: Any = None
    failed: Any = None

    @property
    def is_acknowledgement(self) -> bool:
        """Tells an answer of the drain and the analytics, of a publication, or of the events API."""
        counted = type(self.processed) is int and type(self.failed) is int
        return self.status == "accepted" or bool(self.results) or counted


_DECODER = msgspec.json.Decoder(_Body)


@dataclass(slots=True)
class Answer:
    status: int
    retry_after: str | None
    body: bytes
    location: str | None = None
    durability: str | None = None
    decoded: _Body | None = field(init=False, default=None)
    """Read once, by whoever asks what it says; None when it is not JSON."""

    def __post_init__(self) -> None:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.decoded = _DECODER.decode(self.body)


def not_an_ack(answer: Answer) -> str:
    """Says why an answer with no error of its own tells nothing of the events; empty for one that is for good. What
    acknowledges has the header that every acknowledgement of a server has, or, since something in between may drop
    headers, a body of the shape of one. A redirection is not followed, since the token would go along."""
    if 200 <= answer.status < 300:
        body = answer.decoded
        if body is not None and (answer.durability or body.is_acknowledgement):
            return ""
        return f"{answer.status}: the answer is not a forebay server's"
    if answer.status < 400:
        return f"{answer.status}: {_directions(answer.location)}"
    return ""


def _directions(location: str | None) -> str:
    if not location:
        return "the answer is not a forebay server's; check the client's url"
    location = location[:REASON_CHARACTERS]
    # One of the same path is what a server says that has moved, or wants https.
    url = ROUTE.sub("", location)
    if url != location and url.startswith(("http://", "https://")):
        return f"the server redirects; make the client's url {url}"
    return f"the server redirects to {location}, which is not followed; check the client's url"


def result_of(answer: Answer, events: int) -> BatchResult:
    """Reads the answer to a request with so many events."""
    body = answer.decoded or _Body()
    listed = _listed(body, events)
    if 200 <= answer.status < 300 or (answer.status == MALFORMED and len(listed) == events):
        return BatchResult(rejected=listed, quarantined=max(0, min(body.quarantined, events) - len(listed)))
    index, why = _index_of(reason(answer))
    is_drain_s = isinstance(body.error, str) and isinstance(body.code, str)
    return BatchResult(status=answer.status, reason=why, index=index, is_drain_s=is_drain_s)


def reason(answer: Answer) -> str:
    """Returns what an answer says is wrong, in whatever family of envelopes."""
    if answer.decoded is not None and answer.decoded.error:
        return _text(answer.decoded.error)
    return answer.body[:REASON_CHARACTERS].decode(errors="replace")


def _index_of(why: str) -> tuple[int | None, str]:
    """Strips the `events[3]` prefix: who is told of one event does not know its batch."""
    found = _INDEX.match(why)
    return (None, why) if found is None else (int(found[1]), why[found.end() :].lstrip(".: "))


def _listed(body: _Body, events: int) -> dict[int, str]:
    """Returns the events that are refused on their own, or put aside: of the drain, the analytics and the events API
    `errors`, of a publication the errors in `results`."""
    found: dict[int, str] = {}
    for row in body.errors or ():
        if isinstance(row, dict) and isinstance(index := row.get("index"), int) and 0 <= index < events:
            why = _text(row.get("error"))
            place, short = _index_of(why)
            found[index] = short if place == index else why
    for index, row in enumerate((body.results or [])[:events]):
        if isinstance(row, dict) and row.get("error"):
            found[index] = _text(row["error"])
    return found


def _text(error: Any) -> str:
    if isinstance(error, dict):
        return str(error.get("detail") or error.get("description") or error.get("message") or error)
    return str(error)


@dataclass(frozen=True, slots=True)
class Split:
    """Where to cut a refused part, and the ranges in it that are refused with certainty: indices within the part."""

    cuts: set[int]
    refused: list[tuple[int, int]] = field(default_factory=list)


def split(result: BatchResult, events: Sequence[bytes]) -> Split:
    """Splits a part with several events that was refused whole.

    The cuts are around the event that is named, or in halves. The named one goes alone rather than out, so that a wrong
    name costs a request and not an event. A project that may not be written goes at once.
    """
    index = result.index
    if index is None or index >= len(events):
        return Split({len(events) // 2})
    if result.status != FORBIDDEN or not (refused := of_same_project(events, index)):
        return Split({index, index + 1} - {0, len(events)})
    ranges: list[tuple[int, int]] = []
    for at in refused:
        if ranges and ranges[-1][1] == at:
            ranges[-1] = (ranges[-1][0], at + 1)
        else:
            ranges.append((at, at + 1))
    return Split({at for bounds in ranges for at in bounds} - {0, len(events)}, ranges)


class _Row(msgspec.Struct):
    project_id: str


_ROW_DECODER = msgspec.json.Decoder(_Row)


def of_same_project(events: Sequence[bytes], index: int) -> list[int]:
    """Returns the indices of the events that have the project of the one at `index`: who may not write that one's may
    not write the others either. Empty when it has none, as all but log events."""
    project = _project(events[index])
    return [] if project is None else [at for at, event in enumerate(events) if _project(event) == project]


def _project(event: bytes) -> str | None:
    try:
        return _ROW_DECODER.decode(event).project_id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
