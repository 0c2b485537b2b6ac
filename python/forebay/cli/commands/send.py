"""`forebay send`."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO

import click

from forebay.cli.exit_status import DONE, FAILED, INTERRUPTED
from forebay.cli.notices import notice
from forebay.cli.options import token_option, url_option
from forebay.cli.progress import Progress, bar
from forebay.cli.send import FileFollower, FileSender, Line, Outcome, drain_of
from forebay.cli.send.checkpoint import SUFFIX, CheckpointFile
from forebay.client.transport import Target

MAX_CONNECTIONS = 64
"""A thread each; a server is busy with far fewer."""

PATIENCE_SECONDS = 300.0
"""A server that is upgraded is back by then. Who follows a file waits for ever: nobody looks."""


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@url_option("The server.")
@token_option("The server's token.")
@click.option("--connections", type=click.IntRange(1, MAX_CONNECTIONS), default=4, show_default=True)
@click.option(
    "--rejected",
    type=click.Path(dir_okay=False, writable=True),
    help="Append lines that are not stored to this file, as NDJSON with line number and reason. Without it the first "
    "such line ends the run.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long a batch is tried again when the server is saturated, failing or unreachable. [default: 300; with "
    "--follow without end]",
)
@click.option("--follow", is_flag=True, help="Go on as the file grows and is rotated, and resume there the next time.")
@click.option(
    "--state",
    type=click.Path(dir_okay=False, writable=True),
    help=f"Where --follow keeps how far it is. [default: FILE{SUFFIX}]",
)
def send(
    path: Path,
    url: str,
    token: str | None,
    connections: int,
    rejected: str | None,
    patience: float | None,
    follow: bool,
    state: str | None,
) -> None:
    """Send the log events in FILE, one JSON object a line, to a server's drain; `-` reads standard input.

    Batches hold up to 500 events or 1 MiB. A batch that may or may not have arrived is sent again with its
    Idempotency-Key, so that it is stored once. Batches of several connections may be stored in any order.

    With --follow, lines go in their order, on one connection. A file that is renamed is read to its end before the
    new one; of one that is copied and truncated, what was written between is lost. A FILE that is not there yet is
    waited for. SIGTERM and ^C end it.

    Exit status: 0 every line was acknowledged; 1 some were rejected or not delivered, as the summary says; 2 wrong
    usage; 130 interrupted.
    """
    try:
        target = drain_of(url, token)
    except ValueError as error:
        raise click.UsageError(f"--url {error}") from None
    rejections = Rejections(rejected)
    if follow:
        if str(path) == "-":
            raise click.UsageError("--follow needs a file with a name")
        state_path = Path(state) if state else path.with_name(f"{path.name}{SUFFIX}")
        sys.exit(follow_file(path, state_path, target, rejections, patience))
    if state:
        raise click.UsageError("--state is for --follow")
    patience = PATIENCE_SECONDS if patience is None else patience
    try:
        file = click.open_file(str(path), "rb")
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None
    with file:
        sys.exit(send_file(file, target, rejections, connections, patience))


def send_file(file: IO[bytes], target: Target, rejections: Rejections, connections: int, patience: float) -> int:
    """The exit status."""
    sending = FileSender(
        file.fileno(), target, connections=connections, patience_seconds=patience, keep=rejections.keep
    )
    started = time.monotonic()
    with rejections, Progress() as progress:
        outcome = sending.run(_shown(progress, file, target))
    seconds = time.monotonic() - started
    rate = outcome.acknowledged / seconds if seconds else 0.0
    click.echo(
        f"acknowledged {outcome.acknowledged:,} events in {outcome.batches:,} batches, {seconds:.1f} s, {rate:,.0f}/s; "
        f"{outcome.rejected:,} rejected, {outcome.undelivered:,} read but not delivered, {outcome.retries:,} retries"
    )
    if rejections.path and (outcome.rejected or outcome.undelivered):
        notice(f"those that are not stored are in {rejections.path}, with their reasons")
    if outcome.failure:
        notice(f"ended before the input did: {outcome.failure}")
        missing = f"lines {rejections.missing}, and " if rejections.missing else ""
        notice(f"not stored: {missing}whatever comes after line {outcome.last_line}")
    if outcome.failure == "interrupted":
        return INTERRUPTED
    return DONE if outcome.complete else FAILED


def _shown(progress: Progress, source: IO[bytes], target: Target) -> Callable[[Outcome], None]:
    """Shows how far it is, on a terminal; elsewhere it says why the first batch is tried again, since nobody would
    know for minutes what a command waits for that may wait."""
    told = progress.is_shown
    size = os.fstat(source.fileno()).st_size if source.seekable() else 0
    started = time.monotonic()

    def show(outcome: Outcome) -> None:
        nonlocal told
        if outcome.retries and not told:
            told = True
            notice(f"trying again at {target.url}: {outcome.last_retry}")
        seconds = time.monotonic() - started
        rate = outcome.acknowledged / seconds if seconds else 0.0
        parts = [f"{outcome.acknowledged:,} events", f"{rate:,.0f}/s"]
        if size:
            parts.insert(0, bar(outcome.done_bytes, size))
        if outcome.rejected:
            parts.append(f"{outcome.rejected:,} rejected")
        if outcome.retries:
            parts.append(f"{outcome.retries:,} retries ({target.url}: {outcome.last_retry})")
        progress.show("  ".join(parts))

    return show


def follow_file(path: Path, state: Path, target: Target, rejections: Rejections, patience: float | None) -> int:
    """The exit status."""
    ended: list[int] = []
    try:
        checkpoints = CheckpointFile(state)
        following = FileFollower(
            path,
            checkpoints,
            target,
            patience_seconds=patience,
            keep=rejections.keep,
            sync=rejections.sync,
            notice=notice,
        )

        def end(number: int, _frame: object) -> None:
            ended.append(number)
            following.stop()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        with rejections:
            outcome = following.run()
        checkpoints.close()
    except BlockingIOError:
        raise click.ClickException(f"another process follows with {state}") from None
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(
        f"acknowledged {outcome.acknowledged:,} events in {outcome.batches:,} batches; {outcome.rejected:,} rejected, "
        f"{outcome.retries:,} retries"
        + (f"; at least {outcome.lost_bytes:,} bytes lost by truncation" if outcome.lost_bytes else "")
        + (f"; {outcome.passed_over:,} compressed files passed over" if outcome.passed_over else "")
    )
    if outcome.failure:
        notice(f"ended: {outcome.failure}; what is not stored is sent the next time")
        return FAILED
    if signal.SIGINT in ended:
        return INTERRUPTED
    return FAILED if outcome.rejected or outcome.lost_bytes or outcome.passed_over else DONE


class Rejections:
    """Where lines go that are not stored: the file, or, without one, a list of their numbers."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._numbers: list[int] = []
        self._unsynced = False

    def __enter__(self) -> Rejections:
        if self.path:
            try:
                self._file = Path(self.path).open("ab")
            except OSError as error:
                raise click.ClickException(f"cannot write {self.path}: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            try:
                self.sync()
            finally:
                self._file.close()

    def keep(self, line: Line, reason: str) -> bool:
        """False when there is no file. Called by one thread at a time."""
        if self._file is None:
            self._numbers.append(line.number)
            return False
        row: dict[str, object] = {"line": line.number, "reason": reason}
        try:
            row["text"] = line.text.decode()
        except UnicodeDecodeError:
            row["base64"] = base64.b64encode(line.text).decode()
        self._file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._unsynced = True
        return True

    def sync(self) -> None:
        """Writes what was kept to the disk. Raises OSError."""
        if self._file is not None and self._unsynced:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._unsynced = False

    @property
    def missing(self) -> str:
        """The line numbers as ranges: `3, 7-12`."""
        ranges: list[list[int]] = []
        for number in sorted(self._numbers):
            if ranges and number == ranges[-1][1] + 1:
                ranges[-1][1] = number
            else:
                ranges.append([number, number])
        return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
