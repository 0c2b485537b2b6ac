"""How far a long command is, on a terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import Self

import click

from forebay import _forebay

MIB = 1 << 20

SHOW_SECONDS = 0.1
"""Between two lines: often enough to see it move, too rarely to cost anything."""

ERASE = "\r\x1b[K"
"""To the line's beginning, and everything behind it is gone (ECMA-48)."""


class Progress:
    """One line on standard error that is written over and is gone at the end.

    Attributes:
        is_shown: on a terminal only: in a file or a pipe it would be in the way of what is said there.
    """

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = 0.0

    def show(self, text: str) -> None:
        """Shows `text`, as far as the terminal is wide, unless the last one has just been shown."""
        now = time.monotonic()
        if self.is_shown and now >= self._next:
            self._next = now + SHOW_SECONDS
            # The last column stays free: some terminals would begin a new line.
            width = shutil.get_terminal_size().columns - 1
            click.echo(ERASE + text[:width], nl=False, err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_shown:
            click.echo(ERASE, nl=False, err=True)


@contextlib.contextmanager
def checking() -> Iterator[_forebay.ReadProgress]:
    """Gives what the engine counts in while it reads a directory whole, and shows it meanwhile."""
    reading = _forebay.ReadProgress()
    with Progress() as progress:
        if not progress.is_shown:
            yield reading
            return
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(progress, reading, done))
        watcher.start()
        try:
            yield reading
        finally:
            done.set()
            watcher.join()


def _watch(progress: Progress, reading: _forebay.ReadProgress, done: threading.Event) -> None:
    ended = False
    while not ended:
        ended = done.wait(SHOW_SECONDS)
        # There is no total yet, or never, where the directory cannot be read.
        if total := reading.total:
            progress.show(f"{bar(reading.read, total)}  {reading.read / MIB:,.0f} of {total / MIB:,.0f} MiB")


def bar(done: int, total: int) -> str:
    """`[#####     ]  50%`"""
    share = min(1.0, done / total) if total else 1.0
    return f"[{'#' * round(share * 30):<30}] {share:4.0%}"
