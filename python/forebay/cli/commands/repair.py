"""`forebay repair`."""

from __future__ import annotations

import sys

import click

from forebay import _forebay
from forebay.cli.commands.damages import say_findings, say_offsets, total
from forebay.cli.exit_status import FAILED, INTERRUPTED
from forebay.cli.notices import notice
from forebay.cli.options import check_data_dir, data_dir_option
from forebay.cli.progress import checking
from forebay.cli.wording import counted
from forebay.reports import RepairReport


@click.command()
@data_dir_option("The directory of a stopped server.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def repair(data_dir: str, dry_run: bool, yes: bool) -> None:
    """Make a damaged data directory start again, without deleting a byte.

    What is damaged is copied to DATA_DIR/quarantine with a description, what is sound is kept or made anew. Safe to
    interrupt and to run again.

    Exit status: 0 repaired, or nothing to do; 1 it failed, or --dry-run found something to repair; 2 wrong usage;
    130 the question was answered with no, or not at all.
    """
    check_data_dir(data_dir)
    with checking() as progress:
        planned = _forebay.repair(data_dir, False, progress)
    if not planned["findings"]:
        click.echo(f"{data_dir}: nothing is damaged, nothing to do")
        return
    click.echo(f"{data_dir}: {counted(len(planned['findings']), 'finding')}")
    say_findings(planned["findings"])
    click.echo("what a repair does:" if dry_run or not yes else "repairing:")
    _say(planned)
    if dry_run:
        raise click.exceptions.Exit(FAILED)
    if not yes and not _is_confirmed():
        raise click.exceptions.Exit(INTERRUPTED)
    with checking() as progress:
        done = _forebay.repair(data_dir, True, progress)
    lost, unused = (counted(total(done[kind]), "offset") for kind in ("lost", "skipped"))
    click.echo(
        f"repaired: {lost} lost, {unused} never to be used, "
        f"{counted(_aside(done), 'byte')} copied to {data_dir}/{done['quarantine']}"
    )
    click.echo(f"described in {data_dir}/{done['quarantine']}.json; keep that file, so that the gaps stay known")


def _is_confirmed() -> bool:
    try:
        confirmed = click.confirm("Do it?")
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo()
        notice("no answer, nothing was changed; use --yes where there is nobody to ask")
        return False
    if not confirmed:
        notice("nothing was changed")
    return confirmed


def _aside(report: RepairReport) -> int:
    return sum(item["bytes"] for item in report["items"])


def _say(report: RepairReport) -> None:
    pieces, aside = counted(len(report["items"]), "piece"), counted(_aside(report), "byte")
    click.echo(f"  copied to the quarantine: {pieces}, {aside}")
    if report["salvaged_records"]:
        click.echo(f"  sealed: {counted(report['salvaged_records'], 'sound record')} of the journal")
    for note in report["notes"]:
        click.echo(f"  {note}")
    if report["lost"]:
        click.echo("  lost:")
        say_offsets(report["lost"], indent="    ")
    else:
        click.echo("  no record is known to be lost")
    if report["skipped"]:
        click.echo("  never to be used, since records that are gone without a trace may have had them:")
        say_offsets(report["skipped"], indent="    ")
