"""One connection to a server's drain: the client's, told how a run of `forebay send` waits and what it asks."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from forebay.client import delivery
from forebay.client.target import Target
from forebay.client.verdict import reason
from forebay.sender.batches import Batch

ANSWER_SECONDS = 90.0
"""Longer than the server takes to say that it does not know."""

PATH = "/v1/drain"


def drain_of(url: str, token: str | None) -> Target:
    """The server at `url`, which may end with the drain's own path. Raises ValueError for anything but
    http(s)://host[:port][/path]."""
    return Target.parse(url.rstrip("/").removesuffix(PATH), token)


class Refused(Exception):
    """The server refuses one event of the batch: nothing of the batch is stored."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
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
            Refused: one event of the batch is invalid.
            Gone: it was refused whole, or `patience_seconds` are over, or the run was stopped.
        """
        try:
            answer = self._delivery.post(PATH, f"Idempotency-Key: {batch.key}\r\n", batch.body())
        except delivery.Undelivered as error:
            raise Gone(str(error)) from None
        if 200 <= answer.status < 300:
            return
        why = reason(answer.body)
        if refused := re.match(r"events\[(\d+)\]", why):
            index, what = int(refused[1]), why[refused.end() :].lstrip(".: ")
            if index >= len(batch.lines):
                raise Gone(f"the server refuses an event that was not sent: {what}")
            raise Refused(index, what)
        raise Gone(f"{answer.status}: {why}")
