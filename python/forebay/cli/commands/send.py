"""`forebay send`."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import click

from forebay.cli.exit_status import DONE, FAILED, INTERRUPTED
from forebay.cli.notices import notice
from forebay.cli.options import token_option, url_option
from forebay.cli.progress import Progress, bar
from forebay.cli.send import FileFollower, FileSender, Outcome, Rejections, drain_of, same_files
from forebay.cli.send.checkpoint import SUFFIX, CheckpointFile
from forebay.client.transport import Target

MAX_CONNECTIONS = 64
"""A thread each; a server is busy with far fewer."""

PATIENCE_SECONDS = 300.0
"""A server that is upgraded is back by then. Who follows a file waits for ever: nobody looks."""


class Seconds(click.FloatRange):
    """A number of seconds, or `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


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
    type=Seconds(min=0),
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
    if follow and str(path) == "-":
        raise click.UsageError("--follow needs a file with a name")
    if state and not follow:
        raise click.UsageError("--state is for --follow")
    state_path = Path(state) if state else path.with_name(f"{path.name}{SUFFIX}")
    if same := same_files(path, rejected, state_path if follow else None):
        raise click.UsageError(same)
    if follow:
        sys.exit(follow_file(path, state_path, target, rejections, patience))
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
    with rejections, _ended_by_signals(sending), Progress() as progress:
        outcome = sending.run(_shown(progress, file, target))
    seconds = time.monotonic() - started
    rate = _rate(outcome, seconds)
    try:
        click.echo(
            f"acknowledged {outcome.acknowledged:,} events in {outcome.batches:,} batches, {seconds:.1f} s, "
            f"{rate:,.0f}/s; {outcome.rejected:,} rejected, {outcome.undelivered:,} read but not delivered, "
            f"{outcome.retries:,} retries"
        )
    finally:
        _tell_what_is_missing(outcome, rejections)
    if outcome.failure == "interrupted":
        return INTERRUPTED
    return DONE if outcome.complete and not rejections.failure else FAILED


def _tell_what_is_missing(outcome: Outcome, rejections: Rejections) -> None:
    if rejections.kept:
        notice(f"{rejections.kept:,} that are not stored are in {rejections.path}, with their reasons")
    if rejections.failure:
        notice(rejections.failure)
    if outcome.failure:
        notice(f"ended before the input did: {outcome.failure}")
        missing = f"lines {rejections.missing}, and " if rejections.missing else ""
        notice(f"not stored: {missing}whatever comes after line {outcome.last_line}")


@contextlib.contextmanager
def _ended_by_signals(sending: FileSender) -> Iterator[None]:
    """The first SIGTERM, or SIGHUP where it is not ignored, ends the run with an account of every line, as ^C does;
    the second one ends the process."""

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        sending.ask_to_stop(f"ended by {signal.Signals(number).name}")

    found = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    before = {number: handler for number, handler in found.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
        parts = [f"{outcome.acknowledged:,} events", f"{_rate(outcome, time.monotonic() - started):,.0f}/s"]
        if size:
            parts.insert(0, bar(outcome.done_bytes, size))
        if outcome.rejected:
            parts.append(f"{outcome.rejected:,} rejected")
        if outcome.retries:
            parts.append(f"{outcome.retries:,} retries ({target.url}: {outcome.last_retry})")
        progress.show("  ".join(parts))

    return show


def _rate(outcome: Outcome, seconds: float) -> float:
    """Acknowledged events a second."""
    return outcome.acknowledged / seconds if seconds else 0.0


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
        raise click.ClickException(rejections.failure or str(error)) from None
    click.echo(
        f"acknowledged {outcome.acknowledged:,} events in {outcome.batches:,} batches; {outcome.rejected:,} rejected, "
        f"{outcome.retries:,} retries"
        + (f"; at least {outcome.lost_bytes:,} bytes lost by truncation" if outcome.lost_bytes else "")
        + (f"; {outcome.passed_over:,} compressed files passed over" if outcome.passed_over else "")
    )
    if outcome.failure:
        notice(f"ended: {outcome.failure}; what is not stored is sent the next time")
        return FAILED
    if rejections.failure:
        notice(rejections.failure)
        return FAILED
    if signal.SIGINT in ended:
        return INTERRUPTED
    return FAILED if outcome.rejected or outcome.lost_bytes or outcome.passed_over else DONE
