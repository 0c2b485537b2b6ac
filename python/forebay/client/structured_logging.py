"""For structlog, which need not be installed to import this."""

from __future__ import annotations

import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

from forebay.client.client import Client
from forebay.client.sender import is_sender


class StructlogProcessor:
    """Hands events to a client and passes them on as they are: put it before the renderer. The time is `timestamp`
    when an earlier processor has set it; everything but the event's text and its level is in `metadata`, an exception
    with its trace in `metadata.exception`. Nothing it does raises into the application; what goes wrong is in
    `last_error`, and `failures` counts it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.failures = 0
        self.last_error = ""

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if not is_sender():
            try:
                self._hand_over(method, event)
            except Exception as error:
                self.failures += 1
                self.last_error = f"{type(error).__name__}: {error}"
        return event

    def _hand_over(self, method: str, event: MutableMapping[str, Any]) -> None:
        fields = dict(event)
        message = str(fields.pop("event", ""))
        level = str(fields.pop("level", "") or ("error" if method == "exception" else method)).lower() or "info"
        timestamp = fields.pop("timestamp", None)
        if (found := _exception(fields.pop("exc_info", None))) is not None:
            fields["exception"] = found
        self._client.log(message, level, timestamp=timestamp, metadata=fields or None)


def _exception(given: Any) -> dict[str, str] | None:
    """As structlog takes `exc_info`: an exception, the three of `sys.exc_info`, or True for the one being handled."""
    if isinstance(given, tuple) and len(given) == 3:
        given = given[1]
    elif given is True:
        given = sys.exc_info()[1]
    if not isinstance(given, BaseException):
        return None
    kind = type(given)
    return {
        "type": f"{kind.__module__}.{kind.__qualname__}",
        "message": str(given),
        "trace": "".join(traceback.format_exception(given)),
    }
