"""The server's own log on standard error: one JSON object per line, or readable text on a terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from typing import TextIO, cast

import structlog

from forebay.server.config import LogFormat, LogLevel


class Expendable(io.TextIOBase):
    """A stream that drops text instead of raising when the disk is full or the reader of a pipe has gone."""

    def __init__(self, to: TextIO | None) -> None:
        """`to` is None in a process that was started without standard error."""
        self._to = to

    def write(self, text: str) -> int:
        if self._to is not None:
            # A closed file raises ValueError.
            with contextlib.suppress(OSError, ValueError):
                self._to.write(text)
        return len(text)

    def flush(self) -> None:
        if self._to is not None:
            with contextlib.suppress(OSError, ValueError):
                self._to.flush()

    def isatty(self) -> bool:
        return self._to is not None and self._to.isatty()


def occupy_standard_descriptors() -> None:
    """Opens the null device as each closed descriptor of 0 to 2. Otherwise the first data file would get that number,
    and printed text would be written into it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The new descriptor gets the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)


def configure(level: LogLevel, form: LogFormat) -> None:
    """Sets up structlog, and routes the standard library's loggers (Granian's) through it."""
    stderr = cast(TextIO, Expendable(sys.stderr))
    console = form == "console" or (form == "auto" and stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if console:
        # https://no-color.org: set to anything but nothing.
        colours = not os.environ.get("NO_COLOR")
        renderer: list[structlog.typing.Processor] = [structlog.dev.ConsoleRenderer(colors=colours)]
    else:
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stderr),
        cache_logger_on_first_use=True,
    )
    to_stderr = logging.StreamHandler(stderr)
    to_stderr.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [to_stderr]
    # Granian logs each start and stop at INFO, which the server does itself.
    root.setLevel(logging.WARNING)
