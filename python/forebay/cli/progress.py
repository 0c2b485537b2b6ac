"""How far a long command is, on a terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import click

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
def checking(data_dir: str) -> Iterator[None]:
    """Shows how far the engine is with a directory that it reads whole. It says nothing while it does, but what this
    process has read since is the directory's bytes and little else (proc(5), `io`)."""
    with Progress() as progress:
        if not progress.is_shown:
            yield
            return
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(progress, data_dir, done))
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def _watch(progress: Progress, data_dir: str, done: threading.Event) -> None:
    # A directory that is not there, or must not be read, is the engine's to name.
    with contextlib.suppress(OSError):
        total = sum(path.stat().st_size for path in Path(data_dir).rglob("*") if path.is_file())
        before = _read_bytes()
        while True:
            read = min(_read_bytes() - before, total)
            progress.show(f"{bar(read, total)}  {read / MIB:,.0f} of {total / MIB:,.0f} MiB")
            if done.wait(SHOW_SECONDS):
                return


def _read_bytes() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def bar(done: int, total: int) -> str:
    """`[#####     ]  50%`"""
    share = min(1.0, done / total) if total else 1.0
    return f"[{'#' * round(share * 30):<30}] {share:4.0%}"
