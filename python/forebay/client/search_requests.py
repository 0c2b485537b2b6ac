"""The requests of a search: their query string, and their answers."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from forebay.client.rejection import TokenRefused
from forebay.client.results import FORBIDDEN, UNAUTHORIZED, Answer, reason
from forebay.client.transport import Connection, Target, backoff, retry_after, why_none

PATH = "/api/v1/platform/system/logs"

ANSWER_SECONDS = 30.0
"""The longest time that one answer takes: a server ends a search after 10 s, and may have others to answer first."""

PATIENCE_SECONDS = 60.0
"""A server that has no room now (429, 503) is asked again for so long, as it asks for with `Retry-After`."""

OK = 200
LATER = frozenset({429, 503})

A = TypeVar("A")

_CONDITION = re.compile(r"([^=<>]+)(>=|<=|=|>|<)(.*)", re.DOTALL)
_METADATA = "metadata."
_SHOWN_CHARACTERS = 100
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_MOST_UNITS = 999_999
"""The server reads six digits."""


class SearchFailed(Exception):
    """There is no answer to a search.

    Attributes:
        status: of the server's refusal: 400 for what cannot be searched for and for a search that is too broad, 429 for
            one that there was no room for; None when the server was not reached, or did not answer in time.
    """

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


class Requests:
    """Asks one server, on one connection that is kept alive. Not to be shared between threads, but for `stop`."""

    def __init__(self, target: Target) -> None:
        self._url = target.url
        self._connection = Connection(target, ANSWER_SECONDS)
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()
        # Not held while anything is asked, unless that was left to a thread, which then closes it.
        if self._lock.acquire(blocking=False):
            self._connection.close()
            self._lock.release()

    def stop(self) -> None:
        """Lets no further request be made. One that is under way in another thread ends by itself."""
        self._stopped.set()

    def get(self, path: str, asked: Sequence[tuple[str, str]], shape: type[A]) -> A:
        """The answer below the route of the log.

        Raises:
            TokenRefused, SearchFailed
        """
        # A space as %20: a `+` is one in forms alone.
        target = f"{PATH}{path}?{urlencode(asked, quote_via=quote)}"
        with self._lock:
            try:
                answer = self._answered(target)
            finally:
                if self._stopped.is_set():
                    self._connection.close()
        if answer.status != OK:
            raise _refusal(answer)
        try:
            return msgspec.json.decode(answer.body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SearchFailed(f"the answer of {self._url} is not a forebay server's: {error}", OK) from None

    def _answered(self, path: str) -> Answer:
        """The answer for good."""
        deadline, attempt = time.monotonic() + PATIENCE_SECONDS, 0
        while True:
            answer = self._exchanged(path)
            if answer.status not in LATER:
                return answer
            wait = max(backoff(attempt), retry_after(answer.retry_after))
            attempt += 1
            if time.monotonic() + wait > deadline or self._stopped.wait(wait):
                return answer

    def _exchanged(self, path: str) -> Answer:
        reused = self._connection.used
        try:
            try:
                return self._connection.get(path)
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException):
                if not reused:
                    raise
                # Closed by the server for being idle, as when a program takes its time with each page.
                return self._connection.get(path)
        except (OSError, http.client.HTTPException) as error:
            raise SearchFailed(f"no answer from {self._url}: {why_none(error)}") from None


def _refusal(answer: Answer) -> Exception:
    why = f"{answer.status}: {reason(answer)}"
    if answer.status in (UNAUTHORIZED, FORBIDDEN):
        return TokenRefused(f"the server refuses a search with this client's token ({why}); it needs the role ops")
    if answer.status < OK + 100:
        return SearchFailed(f"{why}; the answer is not a forebay server's", answer.status)
    return SearchFailed(f"the server refuses the search ({why})", answer.status)


def parameters(given: Mapping[str, str | None], where: str | Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names and values of the query string.

    Raises:
        ValueError: a condition is none.
    """
    yield from ((name, value) for name, value in given.items() if value is not None)
    for text in dict.fromkeys([where] if isinstance(where, str) else where):
        found = _CONDITION.fullmatch(text.removeprefix(_METADATA))
        if found is None:
            raise ValueError(
                f"{text[:_SHOWN_CHARACTERS]!r} is no condition on metadata; write it like status>=500 or user.plan=free"
            )
        path, operator, value = found[1].strip(), found[2], found[3]
        if operator == "=":
            yield f"{_METADATA}{path}", value
        elif operator in (">", "<"):
            # Any `=` behind the sign would be a part of it.
            yield f"{_METADATA}{path}{operator}{value.strip('= ')}", ""
        else:
            yield f"{_METADATA}{path}{operator}", value.strip("= ")


def interval_text(interval: timedelta) -> str:
    """An interval as the server reads it.

    Raises:
        ValueError: it is not of whole seconds, or not positive, or too long.
    """
    seconds, rest = divmod(interval, timedelta(seconds=1))
    unit, length = next((unit, length) for unit, length in _UNITS if seconds % length == 0)
    if rest or not 1 <= seconds // length <= _MOST_UNITS:
        raise ValueError(f"the interval is {interval!r}, must be of one second or more, and of whole seconds")
    return f"{seconds // length}{unit}"
