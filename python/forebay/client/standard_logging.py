"""For the standard library's `logging`."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from forebay.client.async_client import AsyncClient
from forebay.client.client import Client
from forebay.client.outlet import Outlet

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest came by `extra`."""

_LEVELS = {"WARNING": "warning", "CRITICAL": "critical", "ERROR": "error", "INFO": "info", "DEBUG": "debug"}


class StandardLogging(logging.Handler):
    """Hands log records to a client: the time is the record's, the level its name in lower case, `extra` fields, the
    logger and the place in the code are in `metadata`, and an exception with its trace in `metadata.exception`.

    Nothing it does raises into the application (`logging.raiseExceptions` governs what is printed), and what a
    client's own threads log is left out. The client is the caller's to close. On a thread that runs an event loop it
    does not wait for room in the queue: what finds none is dropped and counted. An `AsyncClient` is as good.

    Raises:
        TypeError: what is given is no client.
    """

    def __init__(self, client: Client | AsyncClient, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._outlet = Outlet(client)

    def emit(self, record: logging.LogRecord) -> None:
        if not self._outlet.is_open:
            return
        try:
            level = _LEVELS.get(record.levelname) or record.levelname.lower() or "info"
            message = self.format(record) if self.formatter is not None else record.getMessage()
            self._outlet.log(message, level, record.created, _metadata(record))
        except RecursionError:
            raise
        except Exception:
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
    if record.exc_info and record.exc_info[0] is not None:
        kind, error, trace = record.exc_info
        fields["exception"] = {
            "type": f"{kind.__module__}.{kind.__qualname__}",
            "message": str(error),
            "trace": "".join(traceback.format_exception(kind, error, trace)),
        }
    elif record.exc_text:
        fields["exception"] = {"trace": record.exc_text}
    if record.stack_info:
        fields["stack"] = record.stack_info
    return fields
