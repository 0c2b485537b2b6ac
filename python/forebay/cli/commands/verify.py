"""`forebay verify`."""

from __future__ import annotations

import json
import sys

import click

from forebay import _forebay
from forebay.cli.commands.damages import say_findings, say_offsets
from forebay.cli.exit_status import DONE, FAILED, WRONG_USAGE
from forebay.cli.notices import notice
from forebay.cli.options import check_data_dir, data_dir_option
from forebay.cli.output import give_output_up, output_failure
from forebay.cli.progress import checking
from forebay.cli.wording import counted
from forebay.errors import ForebayError
from forebay.reports import VerifyReport

CLEAN, DAMAGED, NOT_CHECKED = DONE, FAILED, WRONG_USAGE


@click.command()
@data_dir_option("The directory of a stopped server.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
def verify(data_dir: str, as_json: bool) -> None:
    """Check every byte of a stopped server's data directory, without changing it.

    Reads the tables, the journal frame by frame and every segment record by record, and checks that the offsets of
    each partition follow each other.

    Exit status: 0 nothing is damaged, 1 something is, 2 it could not be checked.
    """
    check_data_dir(data_dir)
    try:
        with checking() as progress:
            report = _forebay.verify(data_dir, progress)
    except ForebayError as error:
        notice(f"{error.name}: {error.detail}")
        sys.exit(NOT_CHECKED)
    status = CLEAN if report["clean"] else DAMAGED
    try:
        if as_json:
            click.echo(json.dumps(report, indent=2))
        else:
            _say(data_dir, report)
    except BrokenPipeError:
        # The reader has seen enough; the status is of the data all the same.
        give_output_up()
    except OSError as error:
        notice(output_failure() or f"cannot write standard output: {error.strerror}")
        # Not that of damage, which was not found.
        status = status or NOT_CHECKED
    sys.exit(status)


def _say(data_dir: str, report: VerifyReport) -> None:
    click.echo(
        f"{data_dir}: {counted(report['files'], 'file')}, {counted(report['bytes'], 'byte')}; "
        f"{counted(report['records'], 'record')} in {counted(report['partitions'], 'partition')} of "
        f"{counted(report['streams'], 'stream')}"
    )
    if orphans := len(report["orphans"]):
        click.echo(f"{counted(orphans, 'segment')} that nothing refers to, to be removed at the next start")
    if report["quarantined"]:
        click.echo("offsets without a record since an earlier repair; their records are lost, or they were never used:")
        say_offsets(report["quarantined"])
    if report["clean"]:
        click.echo("clean: nothing is damaged")
        return
    click.echo(f"damaged: {counted(len(report['findings']), 'finding')}")
    say_findings(report["findings"])
    click.echo("`forebay repair` quarantines what is damaged and makes the rest usable; to see what it would do first:")
    click.echo(f"  forebay repair --dry-run --data-dir {data_dir}")
