"""One connection to a server: a batch is posted until it is answered for good."""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from forebay.sender.batches import Batch

ANSWER_SECONDS = 90.0
"""Longer than the server takes to say that it does not know."""

BACKOFF_SECONDS = 0.1
BACKOFF_LIMIT_SECONDS = 10.0
"""Waits are drawn from 0 to the backoff, which doubles with each try: "full jitter" of Marc Brooker, "Exponential
Backoff And Jitter", AWS Architecture Blog, 2015."""

RETRY_AFTER_LIMIT_SECONDS = 300.0
"""A server that asks for a longer wait is asked again after this."""

RETRIED = frozenset({408, 429})
"""And every 5xx."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to."""

    host: str
    port: int | None
    path: str
    secure: bool
    token: str | None

    @classmethod
    def parse(cls, url: str, token: str | None) -> Target:
        """Raises ValueError for anything but http(s)://host[:port][/path]. The drain's path is added."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is not http://host:port")
        path = parts.path.rstrip("/")
        drain = path if path.endswith("/v1/drain") else f"{path}/v1/drain"
        return cls(parts.hostname, parts.port, drain, parts.scheme == "https", token)

    def connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        return kind(self.host, self.port, timeout=ANSWER_SECONDS)


class Refused(Exception):
    """The server refuses one event of the batch: nothing of the batch is stored."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason


class Gone(Exception):
    """The batch cannot be delivered: the server refuses it whole, or gave no good answer in time."""


class Delivery:
    """Posts batches on one kept-alive connection. Not to be shared between threads."""

    def __init__(
        self, target: Target, *, patience_seconds: float, stop: threading.Event, on_retry: Callable[[str], None]
    ) -> None:
        self._target = target
        self._patience = patience_seconds
        self._stop = stop
        self._on_retry = on_retry
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def post(self, batch: Batch) -> None:
        """Returns when the batch is acknowledged.

        Raises:
            Refused: one event is invalid.
            Gone: it was refused whole, or `patience_seconds` are over, or the run was stopped.
        """
        body = batch.body()
        deadline = time.monotonic() + self._patience
        attempt = 0
        while True:
            why, after = self._try(batch.key, body)
            if why is None:
                return
            wait = max(backoff(attempt), after)
            attempt += 1
            if time.monotonic() + wait > deadline:
                raise Gone(f"{why}; given up after {attempt} tries in {self._patience:g} seconds")
            self._on_retry(why)
            if self._stop.wait(wait):
                raise Gone(f"{why}; stopped before the next try")

    def _try(self, key: str, body: bytes) -> tuple[str | None, float]:
        """None when acknowledged, else why to try again, and the seconds that the server asks to wait."""
        try:
            status, headers, answer = self._exchange(key, body)
        except (OSError, http.client.HTTPException) as error:
            # The outcome may be unknown; the key makes the next try harmless.
            self.close()
            return f"no answer: {str(error) or type(error).__name__}", 0.0
        if 200 <= status < 300:
            return None, 0.0
        why = f"{status}: {_detail(answer)}"
        if status in RETRIED or status >= 500:
            return why, retry_after(headers.get("retry-after"))
        if refused := re.match(r"events\[(\d+)\]", _detail(answer)):
            raise Refused(int(refused[1]), _detail(answer)[refused.end() :].lstrip(".: "))
        raise Gone(why)

    def _exchange(self, key: str, body: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        if self._connection is None:
            self._connection = self._target.connect()
        headers = {"content-type": "application/json", "idempotency-key": key}
        if self._target.token:
            headers["authorization"] = f"Bearer {self._target.token}"
        self._connection.request("POST", self._target.path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.headers, answer.read()


def backoff(attempt: int) -> float:
    """Seconds to wait before try `attempt` + 1."""
    return random.uniform(0, min(BACKOFF_LIMIT_SECONDS, BACKOFF_SECONDS * 2.0 ** min(attempt, 32)))  # noqa: S311


def retry_after(value: str | None) -> float:
    """Seconds; 0 when the header is missing or is a date, which no forebay server sends."""
    if value is None or not re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return 0.0
    return min(float(value), RETRY_AFTER_LIMIT_SECONDS)


def _detail(answer: bytes) -> str:
    try:
        error = json.loads(answer)["error"]
        if isinstance(error, str):
            return error
    except (ValueError, KeyError, TypeError):
        pass
    return answer[:200].decode(errors="replace")
