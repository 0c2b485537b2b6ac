"""One connection to a server's drain: the client's transport, told how a run of `forebay send` waits and what it
asks."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from forebay.cli.send.batches import DRAIN, Batch
from forebay.client.results import FORBIDDEN, MALFORMED, TOO_LARGE, UNAUTHORIZED, Answer, reason, result_of
from forebay.client.transport import DeliveryFailed, RetryingTransport, Target

ANSWER_SECONDS = 90.0
"""Longer than the server takes to say that it does not know."""


def drain_of(url: str, token: str | None) -> Target:
    """Returns the server at `url`, which may end with the drain's own path. Raises ValueError for anything but
    http(s)://host[:port][/path]."""
    return Target.parse(url.rstrip("/").removesuffix(DRAIN.path), token)


class Refused(Exception):
    """The server refuses the batch, and nothing of it is stored. It is owed to the event at `index`; without one, to
    any of them."""

    def __init__(self, status: int, index: int | None, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.index = index
        self.reason = reason


class DrainConnection:
    """Posts batches. Not to be shared between threads. Without `patience_seconds` a batch is tried until the run is
    stopped."""

    def __init__(
        self, target: Target, *, patience_seconds: float | None, stop: threading.Event, on_retry: Callable[[str], None]
    ) -> None:
        self._transport = RetryingTransport(
            target,
            answer_seconds=ANSWER_SECONDS,
            pause=lambda seconds, _asked: not stop.wait(seconds),
            on_retry=on_retry,
            patience_seconds=patience_seconds,
        )

    def close(self) -> None:
        self._transport.close()

    def post(self, batch: Batch) -> None:
        """Returns when the batch is acknowledged.

        Raises:
            Refused: an event of the batch is.
            DeliveryFailed: it was refused whole, or `patience_seconds` are over, or the run was stopped.
        """
        answer = self._transport.post(DRAIN.path, f"Idempotency-Key: {batch.key}\r\n", batch.body())
        if not 200 <= answer.status < 300:
            raise _refusal(answer, batch)


def _refusal(answer: Answer, batch: Batch) -> Refused | DeliveryFailed:
    result = result_of(answer, len(batch.lines))
    status, why = answer.status, result.reason or reason(answer.body)
    if result.index is not None:
        if result.index >= len(batch.lines):
            return DeliveryFailed(f"the server refuses an event that was not sent: {why}")
        return Refused(status, result.index, why)
    # Whatever else answers 400 may mean the request and no event of it.
    if status == MALFORMED and result.is_drain_s:
        # What is no JSON to the server is told by its place in the body.
        place = re.search(r" at byte (\d+)$", why)
        if place is not None and (found := batch.index_at(int(place[1]))) is not None:
            return Refused(status, found, why[: place.start()])
        return Refused(status, None, f"{status}: {why}")
    if status == TOO_LARGE:
        return Refused(status, None, f"{status}: {why}")
    hint = "; give a token with the role ingest by --token or FOREBAY_TOKEN"
    return DeliveryFailed(f"{status}: {why}{hint if status in (UNAUTHORIZED, FORBIDDEN) else ''}")
