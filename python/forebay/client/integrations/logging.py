"""For the standard library's `logging`."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from forebay.client.async_client import AsyncClient
from forebay.client.client import Client
from forebay.client.integrations.exceptions import can_be_written, failure
from forebay.client.integrations.log_sink import LogSink
from forebay.client.value import Plain, is_bounded

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes of every record; the rest came by `extra`."""

_LEVELS = {"WARNING": "warning", "CRITICAL": "critical", "ERROR": "error", "INFO": "info", "DEBUG": "debug"}


class Endless(Exception):
    """A message that is not to be made."""


class LoggingHandler(logging.Handler):
    """Hands log records to a client: the time is the record's, the level its name in lower case, `extra` fields, the
    logger and the place in the code are in `metadata`, and an exception with its trace in `metadata.exception`.

    Nothing it does raises into the application (`logging.raiseExceptions` governs what is printed). A record whose
    message cannot be made of its arguments is reported as by any other, and sent with both. What a client's own threads
    log is left out, also what they say of events that are lost: another handler has to show that. The client is the
    caller's to close. On a thread that runs an event loop it does not wait for room in the queue: what finds none is
    dropped and counted. An `AsyncClient` is as good.

    Raises:
        TypeError: what is given is no client.
    """

    def __init__(self, client: Client | AsyncClient, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._sink = LogSink(client)

    def emit(self, record: logging.LogRecord) -> None:
        if not self._sink.is_open:
            return
        try:
            level = _LEVELS.get(record.levelname) or str(record.levelname).lower() or "info"
            fields = _metadata(record)
            try:
                message = self._message(record)
            except Exception as error:
                message = Plain().text(record.msg)
                fields["arguments"] = record.args
                fields["formatting"] = f"{type(error).__name__}: {Plain().text(error)}"
                # Printing the arguments would take as long.
                if not isinstance(error, Endless):
                    self._report(record)
            self._sink.log(message, level, record.created, fields)
        except Exception:
            self._report(record)

    def _message(self, record: logging.LogRecord) -> str:
        args = record.args if isinstance(record.args, tuple) else (record.args,)
        if not is_bounded((record.msg, *args)):
            raise Endless("the arguments hold too much")
        if self.formatter is not None and can_be_written(record.exc_info[1] if record.exc_info else None):
            return self.format(record)
        return record.getMessage()

    def _report(self, record: logging.LogRecord) -> None:
        # Near the end of the stack this fails as well.
        with contextlib.suppress(Exception):
            self.handleError(record)

    def flush(self) -> None:
        """Nothing: `logging` calls it under its lock, at the end of the process too, when the client flushes
        itself."""


def _metadata(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "logger": record.name,
        "file": record.pathname,
        "line": record.lineno,
        "function": record.funcName,
        "thread": record.threadName,
        "process": record.process,
    }
    fields |= {name: value for name, value in vars(record).items() if name not in _OWN}
    if record.exc_info and record.exc_info[1] is not None:
        fields["exception"] = failure(record.exc_info[1])
    elif record.exc_text:
        fields["exception"] = {"trace": record.exc_text}
    if record.stack_info:
        fields["stack"] = record.stack_info
    return fields
