"""Lines to a server's drain on one connection: the client's transport, told how a run of `forebay send` waits, and what
becomes of the lines of a batch that is refused."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence

from forebay.cli.notices import token_hint
from forebay.cli.send.batches import BATCH_EVENTS, DRAIN, Batch, Line, Rejection
from forebay.client.results import FORBIDDEN, MALFORMED, TOO_LARGE, BatchResult, of_same_project, result_of
from forebay.client.transport import DeliveryFailed, RetryingTransport, Target

ANSWER_SECONDS = 90.0
"""Longer than the server takes to say that it does not know."""

ALIKE = 8
"""This many lines in a row, each refused alone for one and the same reason that names none of them, speak for the rest
of their batch: a request each would say no more, and whatever answers so is hardly judging events."""


def drain_of(url: str, token: str | None) -> Target:
    """Returns the server at `url`, which may end with the drain's own path. Raises ValueError for anything but
    http(s)://host[:port][/path]."""
    return Target.parse(url.rstrip("/").removesuffix(DRAIN.path), token)


class Delivery:
    """Posts as many lines at once as fit, fewer after a refusal, twice as many after each success. One is kept from
    batch to batch, so that an input that is refused throughout costs no more bytes than it has. Not to be shared
    between threads. Without `patience_seconds` a request is tried until the run is stopped."""

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
        self._size = BATCH_EVENTS
        self._alike = 0
        self._reason = ""

    def close(self) -> None:
        self._transport.close()

    def part(self, lines: Sequence[Line]) -> Batch:
        """Returns the first of `lines`, as many as go in the next request."""
        return Batch(list(lines[: self._size]))

    def post(self, lines: Sequence[Line], part: Batch) -> tuple[list[Line], list[Rejection]]:
        """Posts `part`, the first of `lines`. Returns those that are still to be sent, and those that are rejected:
        without any, and with fewer left, `part` is acknowledged.

        Raises:
            DeliveryFailed: it was refused whole, or `patience_seconds` are over, or the run was stopped.
        """
        answer = self._transport.post(DRAIN.path, f"Idempotency-Key: {part.key}\r\n", part.body())
        if 200 <= answer.status < 300:
            self._size, self._alike = min(BATCH_EVENTS, 2 * self._size), 0
            return list(lines[len(part.lines) :]), []
        rejections = self._refused(lines, part, result_of(answer, len(part.lines)))
        out = {rejection.line.end for rejection in rejections}
        return [line for line in lines if line.end not in out], rejections

    def _refused(self, lines: Sequence[Line], part: Batch, result: BatchResult) -> list[Rejection]:
        """Returns those of `lines` that are not to be sent again; none when a smaller part is to be tried."""
        if result.rejected:
            return [Rejection(part.lines[at], why) for at, why in sorted(result.rejected.items())]
        index, why = _owed_to(result, part)
        if index is None:
            return self._unnamed(lines, part, result)
        self._alike = 0
        if result.status == FORBIDDEN:
            alien = of_same_project([line.text for line in lines], index) or [index]
            return [Rejection(lines[at], why) for at in alien]
        # The lines before it are good, those behind it are not known.
        self._size = min(BATCH_EVENTS, 2 * (index + 1))
        return [Rejection(part.lines[index], why)]

    def _unnamed(self, lines: Sequence[Line], part: Batch, result: BatchResult) -> list[Rejection]:
        if len(part.lines) > 1:
            self._size = len(part.lines) // 2
            return []
        self._alike = self._alike + 1 if result.whole == self._reason else 1
        self._reason = result.whole
        rejections = [Rejection(part.lines[0], result.whole)]
        if result.status == MALFORMED and self._alike >= ALIKE:
            why = f"{result.whole} (said of those before it, one by one; this one was not sent alone)"
            rejections += [Rejection(line, why) for line in lines[1:]]
        return rejections


def _owed_to(result: BatchResult, part: Batch) -> tuple[int | None, str]:
    """Returns the index of the line that a whole refusal is owed to, and why it is refused; None when it may be owed to
    any. Raises DeliveryFailed when it is owed to none of them."""
    status, why, index = result.status, result.reason, result.index
    if index is not None and index >= len(part.lines):
        raise DeliveryFailed(f"the server refuses an event that was not sent: {why}")
    # The server tells of text that is no JSON by its place in the body.
    malformed = status == MALFORMED and result.is_drain_s
    if index is None and malformed and (place := re.search(r" at byte (\d+)$", why)) is not None:
        index, why = part.index_at(int(place[1])), why[: place.start()]
    # Whatever else answers 400 may mean the request and no event of it.
    if index is not None or malformed or status == TOO_LARGE:
        return index, why
    raise DeliveryFailed(f"{result.whole}; {token_hint('ingest')}" if result.is_of_token else result.whole)
