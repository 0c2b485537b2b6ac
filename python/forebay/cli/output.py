"""Standard output and error, when they are full, closed, or read no further."""

from __future__ import annotations

import io
import os
import sys
from typing import BinaryIO, TextIO

import click


def binary_output() -> BinaryIO:
    """Returns standard output for bytes; raises ClickException when the command was started without one."""
    # None, then, whatever the types say.
    if sys.stdout is None:
        raise click.ClickException("standard output is closed")
    if isinstance(sys.stdout.buffer, io.RawIOBase):
        # With PYTHONUNBUFFERED it takes a part of what is written, on a disk that gets full.
        return open(sys.stdout.fileno(), "wb", closefd=False)
    return sys.stdout.buffer


def flush_output() -> None:
    """Raises OSError when what was printed cannot be written."""
    if sys.stdout is not None:
        sys.stdout.flush()


def give_output_up() -> None:
    """Drops what cannot be written: Python would try again when it exits, and report that in its own way."""
    if sys.stdout is not None:
        lead_nowhere(sys.stdout)


def lead_nowhere(stream: TextIO) -> None:
    """Lets a stream take everything from now on, and keep nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def output_failure() -> str:
    """Returns why what was printed cannot be written, and drops it; empty when it can. What has failed to be written
    is still held, so that this tells errors of the output from others, but with PYTHONUNBUFFERED."""
    try:
        flush_output()
    except OSError as error:
        give_output_up()
        return f"cannot write standard output: {error.strerror}"
    return ""


def occupy_closed_descriptors() -> None:
    """Opens the standard descriptors that are closed, as of `forebay … >&-`: the next file that is opened would get the
    number, and what is printed, or a panic of the engine, would be written into it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free is this one.
            os.open(os.devnull, os.O_RDWR)
