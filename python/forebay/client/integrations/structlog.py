"""For structlog, which need not be installed to import this."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any

from forebay.client.async_client import AsyncClient
from forebay.client.client import Client
from forebay.client.clock import local_or_utc, written
from forebay.client.integrations.exceptions import failure
from forebay.client.integrations.log_sink import LogSink
from forebay.client.value import Plain

DATE_CHARACTERS = len("2024-05-31")
"""A longer text may have a time of day as well."""


class StructlogProcessor:
    """Hands events to a client and passes them on as they are: put it before the renderer. Everything but the event's
    text, its level and its time is in `metadata`, an exception with its trace in `metadata.exception`. Nothing it does
    raises into the application; what goes wrong is in `last_error`, and `failures` counts it.

    The time is `timestamp` when an earlier processor has set it, in any form of ISO 8601 or as a number. Without a zone
    it is local time, or UTC when that is now: `TimeStamper` writes either, and does not say which. What cannot be read,
    or is only a date or only a time of day, stays in `metadata`, and the time is that of the call.

    On a thread that runs an event loop it does not wait for room in the queue: what finds none is dropped and counted.
    An `AsyncClient` is as good as a `Client`.

    Raises:
        TypeError: what is given is no client.
    """

    def __init__(self, client: Client | AsyncClient) -> None:
        self._sink = LogSink(client)
        self.failures = 0
        self.last_error = ""

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if self._sink.is_open:
            try:
                self._hand_over(method, event)
            except Exception as error:
                self.failures += 1
                self.last_error = f"{type(error).__name__}: {error}"
        return event

    def _hand_over(self, method: str, event: MutableMapping[str, Any]) -> None:
        fields = dict(event)
        message = Plain().text(fields.pop("event", ""))
        given = fields.pop("level", None)
        level = "" if given is None else Plain().text(given)
        level = level or ("error" if method == "exception" else method)
        moment = _moment(fields.get("timestamp"))
        if moment is not None:
            del fields["timestamp"]
        if (found := _exception(fields.pop("exc_info", None))) is not None:
            fields["exception"] = found
        self._sink.log(message, level.lower() or "info", moment, fields or None)


def _moment(given: Any) -> str | None:
    if given is None or (isinstance(given, str) and len(given) <= DATE_CHARACTERS):
        return None
    try:
        return written(local_or_utc(given))
    except Exception:
        return None


def _exception(given: Any) -> dict[str, str] | None:
    """Takes what structlog takes as `exc_info`: an exception, the three of `sys.exc_info`, or True."""
    if isinstance(given, tuple) and len(given) == 3:
        given = given[1]
    elif given is True:
        given = sys.exc_info()[1]
    if not isinstance(given, BaseException):
        return None
    return failure(given)
