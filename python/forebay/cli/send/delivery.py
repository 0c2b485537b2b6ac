"""One connection to a server's drain: the client's, told how a run of `forebay send` waits and what it asks."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import msgspec

from forebay.cli.send.batches import Batch
from forebay.client import delivery
from forebay.client.connection import Answer
from forebay.client.target import Target
from forebay.client.verdict import reason

ANSWER_SECONDS = 90.0
"""Longer than the server takes to say that it does not know."""

PATH = "/v1/drain"

MALFORMED = 400
UNAUTHORIZED = 401
FORBIDDEN = 403
TOO_LARGE = 413


def drain_of(url: str, token: str | None) -> Target:
    """The server at `url`, which may end with the drain's own path. Raises ValueError for anything but
    http(s)://host[:port][/path]."""
    return Target.parse(url.rstrip("/").removesuffix(PATH), token)


class Refused(Exception):
    """The server refuses the batch, and nothing of it is stored. It is owed to the event at `index`; without one, to
    any of them."""

    def __init__(self, status: int, index: int | None, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.index = index
        self.reason = reason


class Gone(Exception):
    """The batch cannot be delivered: the server refuses it whole, or gave no good answer in time."""


class Delivery:
    """Posts batches on one kept-alive connection. Not to be shared between threads. Without `patience_seconds` a
    batch is tried until the run is stopped."""

    def __init__(
        self, target: Target, *, patience_seconds: float | None, stop: threading.Event, on_retry: Callable[[str], None]
    ) -> None:
        self._delivery = delivery.Delivery(
            target,
            answer_seconds=ANSWER_SECONDS,
            pause=lambda seconds, _asked: not stop.wait(seconds),
            on_retry=on_retry,
            patience_seconds=patience_seconds,
        )

    def close(self) -> None:
        self._delivery.close()

    def post(self, batch: Batch) -> None:
        """Returns when the batch is acknowledged.

        Raises:
            Refused: an event of the batch is.
            Gone: it was refused whole, or `patience_seconds` are over, or the run was stopped.
        """
        try:
            answer = self._delivery.post(PATH, f"Idempotency-Key: {batch.key}\r\n", batch.body())
        except delivery.Undelivered as error:
            raise Gone(str(error)) from None
        if 200 <= answer.status < 300:
            return
        raise _refusal(answer, batch)


class _Envelope(msgspec.Struct):
    """What the drain says when it refuses. Whatever else answers 400 may mean the request and no event of it."""

    error: str
    code: str


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def _refusal(answer: Answer, batch: Batch) -> Refused | Gone:
    why = reason(answer.body)
    if named := re.match(r"events\[(\d+)\]", why):
        index, what = int(named[1]), why[named.end() :].lstrip(".: ")
        if index >= len(batch.lines):
            return Gone(f"the server refuses an event that was not sent: {what}")
        return Refused(answer.status, index, what)
    if answer.status == MALFORMED and _is_envelope(answer.body):
        # What is no JSON to the server is told by its place in the body.
        place = re.search(r" at byte (\d+)$", why)
        if place is not None and (found := batch.index_at(int(place[1]))) is not None:
            return Refused(answer.status, found, why[: place.start()])
        return Refused(answer.status, None, f"{answer.status}: {why}")
    if answer.status == TOO_LARGE:
        return Refused(answer.status, None, f"{answer.status}: {why}")
    if answer.status in (UNAUTHORIZED, FORBIDDEN):
        return Gone(f"{answer.status}: {why}; give a token with the role ingest by --token or FOREBAY_TOKEN")
    return Gone(f"{answer.status}: {why}")


def _is_envelope(body: bytes) -> bool:
    try:
        _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
