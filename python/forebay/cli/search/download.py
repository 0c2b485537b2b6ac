"""An export's file, fetched to its end over connections that may break."""

from __future__ import annotations

import contextlib
import http
import http.client
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import click

from forebay.cli.api import Api
from forebay.cli.output import binary_output
from forebay.client.transport import why_none
from forebay.errors import ForebayError

TRIES = 10
"""So often it is tried again, a second apart, without a single byte that came."""

WAIT_SECONDS = 1.0

PIECE_BYTES = 256 << 10

STANDARD_OUTPUT = "-"


class Target(Protocol):
    """Where the file goes."""

    def size(self) -> int:
        """The bytes that it has."""

    def write(self, piece: bytes) -> None: ...
    def begin_anew(self) -> None:
        """Drops what it has."""


class PartFile:
    """A file that gets its name when it is whole."""

    def __init__(self, path: Path, export_id: str) -> None:
        """Goes on with what an earlier run has fetched of the same export."""
        self._path = path
        self._part = path.with_name(f"{path.name}.{export_id}.part")
        self._file = self._part.open("ab")

    def size(self) -> int:
        return self._file.tell()

    def write(self, piece: bytes) -> None:
        self._file.write(piece)

    def begin_anew(self) -> None:
        self._file.truncate(0)
        self._file.seek(0)

    def finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)

    def close(self) -> None:
        self._file.close()


class Output:
    """Standard output, which takes nothing back."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._size = 0

    def size(self) -> int:
        return self._size

    def write(self, piece: bytes) -> None:
        self._out.write(piece)
        self._size += len(piece)

    def begin_anew(self) -> None:
        if self._size:
            raise click.ClickException("the file is another one now, and what was printed is not its beginning")


@contextlib.contextmanager
def target(name: str, export_id: str) -> Iterator[Target]:
    """The file of that name, which is there once everything has gone well, or standard output."""
    if name == STANDARD_OUTPUT:
        yield Output(binary_output())
        sys.stdout.flush()
        return
    with contextlib.closing(PartFile(Path(name), export_id)) as file:
        yield file
        file.finish()


def fetch(api: Api, path: str, length: int, to: Target, show: Callable[[int], None]) -> None:
    """Fetches what `to` does not have yet of the file of that length. `show` is told how many bytes there are.

    Raises:
        ForebayError, click.ClickException: the server refuses it, or cannot be reached for longer.
    """
    left, tag = TRIES, None
    while (have := to.size()) < length:
        why: object = "the connection ended early"
        try:
            tag = _fetch_on(api, path, tag, to, lambda: show(to.size()))
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:
                # The file could not be written; the connection is fine.
                raise
            why = why_none(error)
        except ForebayError as error:
            if not error.retryable:
                raise
            why = error.detail
        if to.size() >= length:
            break
        left = TRIES if to.size() > have else left - 1
        if not left:
            raise click.ClickException(f"the file cannot be fetched beyond {to.size():,} of {length:,} bytes: {why}")
        api.close()
        time.sleep(WAIT_SECONDS)
    if to.size() != length:
        raise click.ClickException(f"the file has {to.size():,} bytes and should have {length:,}")


def _fetch_on(api: Api, path: str, tag: str | None, to: Target, come: Callable[[], None]) -> str | None:
    """Fetches what comes over one connection, and returns the file's entity tag."""
    headers = {}
    if to.size():
        headers["range"] = f"bytes={to.size()}-"
        if tag is not None:
            headers["if_range"] = tag
    answer = api.open(path, **headers)
    if to.size() and answer.status == http.HTTPStatus.OK:
        to.begin_anew()
    while piece := answer.read(PIECE_BYTES):
        to.write(piece)
        come()
    return answer.headers.get("etag")
