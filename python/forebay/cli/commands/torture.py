"""`forebay torture`."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import get_args

import click

from forebay.cli.exit_status import FAILED
from forebay.cli.notices import notice
from forebay.cli.progress import Progress
from forebay.embedded.options import Durability


@click.command()
@click.option("--cycles", type=click.IntRange(min=1), default=100, show_default=True, help="How often to kill.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A directory on the disk to be tried; empty, or created.",
)
@click.option("--senders", type=click.IntRange(1, 64), default=4, show_default=True, help="Connections that send.")
@click.option("--durability", type=click.Choice(get_args(Durability)), default="fsync", show_default=True)
@click.option("--seed", type=click.IntRange(min=0), help="Of what is sent and when is killed.  [default: random]")
@click.option("--keep", is_flag=True, help="Leave the data and the server's log there, also when it passed.")
def torture(directory: Path, cycles: int, senders: int, durability: str, seed: int | None, keep: bool) -> None:
    """Kill a server under load, again and again, and check that it keeps its promises on this disk.

    Starts `forebay serve` on DIR, sends batches, kills it with SIGKILL at random moments, starts it again, and compares
    what is there with what was acknowledged: each acknowledged event once, each batch whole or absent, offsets without
    a gap. The last server is stopped with SIGTERM. A cycle takes about two seconds. At most some 50 MB are used.

    This tries crashes of the process. Power loss is another matter, which needs a machine that is switched off: a
    killed process leaves what it wrote to the operating system, and only power loss shows whether the disk keeps what
    it was told to keep.

    Exit status: 0 passed; 1 a promise was broken, and the data is left in DIR; 2 wrong usage; 130 interrupted.
    """
    # Imported here, as by `serve`: the other commands need not wait for it.
    from forebay.cli.torture import Plan, run

    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise click.UsageError(f"--dir is {str(directory)!r}, which is not empty; name a new directory")
    except OSError as error:
        raise click.UsageError(f"--dir is {str(directory)!r}: {error.strerror}") from None
    chosen = random.randrange(1 << 32) if seed is None else seed  # noqa: S311 - reproducible, not secret
    with Progress() as progress:
        report = run(Plan(directory, cycles, chosen, senders, durability), progress.show)
    for line in report.lines():
        click.echo(line)
    if not report.passed:
        notice(f"the data and the server's log are left in {directory}")
        raise click.exceptions.Exit(FAILED)
    if not keep:
        shutil.rmtree(directory / "data", ignore_errors=True)
        (directory / "server.log").unlink(missing_ok=True)
