"""A body is posted until it is answered for good."""

from __future__ import annotations

import http.client
import math
import time
from collections.abc import Callable
from typing import Protocol

from forebay.client.connection import Answer, Connection
from forebay.client.retry import backoff, is_retried, retry_after
from forebay.client.target import Target
from forebay.client.verdict import doubt, reason


class Pause(Protocol):
    """How to wait between two tries."""

    def __call__(self, seconds: float, asked: float) -> bool:
        """Waits for `seconds`, of which the server asked for `asked`. False when there is to be no further try."""
        ...


class Undelivered(Exception):
    """There is no answer for good, and there is to be no further try."""


class Delivery:
    """Posts on one kept-alive connection. Not to be shared between threads.

    `pause` is how it waits; `on_retry` is told why each time; `patience_seconds` bounds the tries for one body, and no
    exchange goes on after `until`, of `time.monotonic`.
    """

    def __init__(
        self,
        target: Target,
        *,
        answer_seconds: float,
        pause: Pause,
        on_retry: Callable[[str], None],
        patience_seconds: float | None = None,
        until: float = math.inf,
    ) -> None:
        self._connection = Connection(target, answer_seconds, until)
        self._pause = pause
        self._on_retry = on_retry
        self._patience = patience_seconds

    def close(self) -> None:
        self._connection.close()

    def post(self, path: str, headers: str, body: bytes) -> Answer:
        """An acknowledgement, or a 4xx that is neither 408 nor 429. `headers` are whole lines, the idempotency key
        among them: it is what makes another try harmless when the outcome of one is unknown.

        Raises:
            Undelivered: the patience is over, or `pause` said so.
        """
        deadline = None if self._patience is None else time.monotonic() + self._patience
        attempt = 0
        while True:
            reused = self._connection.used
            try:
                answer = self._connection.post(path, headers, body)
            except (OSError, http.client.HTTPException) as error:
                if reused and not isinstance(error, TimeoutError):
                    # Closed by the server for being idle: that is no reason to wait, once.
                    continue
                why, asked = f"no answer: {str(error) or type(error).__name__}", 0.0
            else:
                if is_retried(answer.status):
                    why, asked = f"{answer.status}: {reason(answer.body)}", retry_after(answer.retry_after)
                elif why := doubt(answer):
                    asked = 0.0
                else:
                    return answer
            wait = max(backoff(attempt), asked)
            attempt += 1
            if deadline is not None and time.monotonic() + wait > deadline:
                raise Undelivered(f"{why}; given up after {attempt} tries in {self._patience:g} seconds")
            self._on_retry(why)
            if not self._pause(wait, asked):
                raise Undelivered(f"{why}; stopped before the next try")
