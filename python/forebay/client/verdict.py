"""What an answer says of each event of a batch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from forebay.client.connection import Answer

REASON_CHARACTERS = 500
"""Of what is not a forebay server's envelope."""

SPLIT = frozenset({400, 403, 413})
"""A refusal of the whole that may be owed to one event: its shape, its project, its size."""

UNAUTHORIZED = 401
FORBIDDEN = 403

_ROUTE = re.compile(r"/(v1/drain|v1/analytics/track/batch|api/events/batch|api/v1/streams/[^/]+/events/batch)/?\Z")

_INDEX = re.compile(r"(?:events)?\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the events of a request that was answered for good.

    `rejected` are the refused ones by their index, with the reasons, those that the server put aside among them.
    `quarantined` ones it put aside without saying which: beyond the number that one answer names, or because it is of
    an older release, which only counts them. Together they are no more than were sent. With `whole` nothing of the
    request is stored, and `rejected` is empty; `index` is then the event that it is owed to, as far as the answer names
    one, and `splits` whether its neighbours may be good on their own.
    """

    rejected: dict[int, str] = field(default_factory=dict)
    quarantined: int = 0
    whole: str = ""
    index: int | None = None
    splits: bool = False
    mismatch: bool = False
    """The key was taken before, by another body."""
    status: int = 0

    @property
    def is_of_token(self) -> bool:
        """Whether the token is refused, rather than what was sent with it."""
        return self.status == UNAUTHORIZED or (self.status == FORBIDDEN and self.index is None)


class _Body(msgspec.Struct):
    """Of any route's answer, what is of use here."""

    error: Any = None
    errors: list[Any] | msgspec.UnsetType = msgspec.UNSET
    results: list[Any] | msgspec.UnsetType = msgspec.UNSET
    quarantined: int = 0
    status: Any = None
    processed: Any = None
    failed: Any = None

    @property
    def is_acknowledgement(self) -> bool:
        """Of the drain and the analytics, of a publication, or of the events API."""
        counted = type(self.processed) is int and type(self.failed) is int
        return self.status == "accepted" or bool(self.results) or counted


_DECODER = msgspec.json.Decoder(_Body)


def doubt(answer: Answer) -> str:
    """Why an answer with no error of its own says nothing of the events; empty for one that is for good. What
    acknowledges has the header that every acknowledgement of a server has, or, since something in between may drop
    headers, a body of the shape of one. A redirection is not followed, since the token would go along."""
    if 200 <= answer.status < 300:
        body = _decoded(answer.body)
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
    url = _ROUTE.sub("", location)
    if url != location and url.startswith(("http://", "https://")):
        return f"the server redirects; make the client's url {url}"
    return f"the server redirects to {location}, which is not followed; check the client's url"


def verdict(answer: Answer, events: int) -> Verdict:
    """Of the answer to a request with so many events."""
    body = _decoded(answer.body) or _Body()
    good = 200 <= answer.status < 300
    listed = _listed(body, events)
    if good or (answer.status == 400 and len(listed) == events):
        return Verdict(rejected=listed, quarantined=max(0, min(body.quarantined, events) - len(listed)))
    why = reason(answer.body)
    found = _INDEX.match(why)
    index = int(found[1]) if found is not None else None
    return Verdict(
        # Who is told of one event does not know its batch.
        whole=f"{answer.status}: {why if found is None else why[found.end() :].lstrip('.: ')}",
        index=index if index is not None and index < events else None,
        splits=answer.status in SPLIT and (answer.status != 403 or index is not None),
        mismatch=answer.status == 422,
        status=answer.status,
    )


def reason(body: bytes) -> str:
    """What an answer says is wrong, in whatever family of envelopes."""
    decoded = _decoded(body)
    return _text(decoded.error) if decoded is not None and decoded.error else _raw(body)


def _listed(body: _Body, events: int) -> dict[int, str]:
    """The events that are refused on their own, or put aside: of the drain, the analytics and the events API `errors`,
    of a publication the errors in `results`."""
    found: dict[int, str] = {}
    for row in body.errors or ():
        if isinstance(row, dict) and isinstance(index := row.get("index"), int) and 0 <= index < events:
            found[index] = _without_place(_text(row.get("error")), index)
    if body.results:
        for index, row in enumerate(body.results[:events]):
            if isinstance(row, dict) and row.get("error"):
                found[index] = _text(row["error"])
    return found


def _text(error: Any) -> str:
    if isinstance(error, dict):
        return str(error.get("detail") or error.get("description") or error.get("message") or error)
    return str(error)


def _without_place(why: str, index: int) -> str:
    """Who is told of one event does not know its batch."""
    place = _INDEX.match(why)
    return why[place.end() :].lstrip(".: ") if place is not None and place[1] == str(index) else why


def _raw(body: bytes) -> str:
    return body[:REASON_CHARACTERS].decode(errors="replace")


def _decoded(body: bytes) -> _Body | None:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
