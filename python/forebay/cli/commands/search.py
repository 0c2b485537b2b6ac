"""`forebay search`."""

from __future__ import annotations

from typing import Unpack, get_args

import click

from forebay.cli.notices import notice
from forebay.cli.options import place_options
from forebay.cli.search.filters import Filters, conditions_of, filter_options
from forebay.cli.search.lines import Writer, writer
from forebay.cli.search.places import Directory, Server, place
from forebay.cli.wording import counted
from forebay.embedded.conditions import Conditions, CountBy

LIMIT = 50
FOLLOWED = 10
"""So many that are there already are shown before those that come."""

POLL_MILLISECONDS = 20_000
"""Less than the time after which the connection is given up."""


@click.command()
@click.argument("words", nargs=-1)
@filter_options
@click.option("--limit", type=click.IntRange(min=1), help=f"So many of the newest.  [default: {LIMIT}]")
@click.option("--all", "everything", is_flag=True, help="All there are.")
@click.option("--count", is_flag=True, help="Print how many there are.")
@click.option("--by", type=click.Choice(get_args(CountBy)), help="Count them by it.")
@click.option(
    "--follow", "-f", is_flag=True, help=f"Go on with those that come, after the newest {FOLLOWED} or --limit."
)
@click.option("--json", "as_json", is_flag=True, help="NDJSON also on a terminal.")
@place_options
def search(
    words: tuple[str, ...],
    limit: int | None,
    everything: bool,
    count: bool,
    by: CountBy | None,
    follow: bool,
    as_json: bool,
    data_dir: str,
    url: str | None,
    token: str | None,
    **filters: Unpack[Filters],
) -> None:
    """Find events of the log that have all WORDS, the newest first.

    WORDS are looked for in the message and in every value of the metadata, in any case: words, beginnings like conn*,
    '"a phrase"', '/regular expression/', each excluded with a - before it: forebay search -- timeout -retry.

    On a terminal: time, level, service, message. Else NDJSON with everything, as the server's answers have it.
    """
    _check_usage(limit, everything, filters["until"], follow, count=count, by=by)
    conditions = conditions_of(words, filters)
    out = writer(conditions.query, as_json)
    with place(data_dir, url, token) as opened:
        if count:
            click.echo(opened.counts(conditions, "level")[2])
        elif by is not None:
            groups, other, total = opened.counts(conditions, by)
            out.write_counts(groups, by)
            if other:
                notice(f"{counted(other, 'event')} of {total:,} with further values, or with none")
        elif follow:
            _follow(opened, conditions, limit or FOLLOWED, out)
        else:
            for page in opened.pages(conditions, None if everything else limit or LIMIT):
                out.write(page)


def _check_usage(
    limit: int | None, everything: bool, until: int | None, follow: bool, *, count: bool, by: str | None
) -> None:
    """Raises the error of wrong usage for options that exclude each other."""
    given = [name for name, is_given in (("--count", count), ("--by", by), ("--follow", follow)) if is_given]
    paging = [name for name, is_given in (("--limit", limit), ("--all", everything)) if is_given]
    excluded = given[:2] if len(given) > 1 else paging[:2] if len(paging) > 1 else []
    if paging and (count or by):
        excluded = [given[0], paging[0]]
    if follow and (everything or until is not None):
        excluded = ["--follow", "--all" if everything else "--until"]
    if excluded:
        raise click.UsageError(f"give {excluded[0]} or {excluded[1]}, not both", click.get_current_context(silent=True))


def _follow(opened: Server | Directory, conditions: Conditions, limit: int, out: Writer) -> None:
    """Shows the newest of what there is, and then what comes, in the order in which it comes and whatever its time is.

    The position is taken before the search, so that nothing that comes between the two is missed; what the search has
    found already is known by its id and not shown again.
    """
    if isinstance(opened, Directory):
        raise click.UsageError("--follow needs a running server: give --url", click.get_current_context(silent=True))
    position = opened.follow(conditions, None, 0).position
    newest = [entry for page in opened.pages(conditions, limit) for entry in page]
    out.write(reversed(newest))
    shown = {entry.id for entry in newest}
    while True:
        come = opened.follow(conditions, position, POLL_MILLISECONDS)
        position = come.position
        out.write(entry for entry in come.logs if entry.id not in shown)
        if come.expired:
            notice(f"{counted(come.expired, 'event')} had been deleted before they could be looked at")
