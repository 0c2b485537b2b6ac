"""The server's own log, on standard error: a JSON object a line, or readable on a terminal."""

from __future__ import annotations

import logging
import sys

import structlog

from forebay.config import LogFormat, LogLevel


def configure(level: LogLevel, form: LogFormat) -> None:
    """Sets up structlog, and routes the standard library's loggers (Granian's) through it."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if console:
        renderer: list[structlog.typing.Processor] = [structlog.dev.ConsoleRenderer()]
    else:
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [to_stderr]
    # Granian tells of each start and stop at INFO, which the server does itself.
    root.setLevel(logging.WARNING)
