"""`forebay export`."""

from __future__ import annotations

import contextlib
import shlex
import time
from pathlib import Path
from typing import Unpack, get_args
from urllib.parse import urlencode

import click
import msgspec

from forebay.cli.api import Api
from forebay.cli.notices import notice
from forebay.cli.options import token_option, url_option
from forebay.cli.progress import MIB, Progress, bar
from forebay.cli.search.download import fetch, target
from forebay.cli.search.filters import Filters, conditions_of, filter_options
from forebay.cli.search.places import parameters
from forebay.cli.wording import counted
from forebay.embedded.conditions import Conditions
from forebay.errors import ForebayError, Saturated
from forebay.server.api.platform.exports import EXPORT, ExportBegunAnswer, ExportState, ExportStateAnswer
from forebay.server.exports.formats import KINDS, Format

POLL_SECONDS = 0.3

PATIENCE_SECONDS = 60.0
"""A server that is started again in the middle is waited for."""

_BY_EXTENSION: dict[str, Format] = {f".{kind.extension}": name for name, kind in KINDS.items()} | {".json": "json"}


@click.command()
@click.argument("words", nargs=-1)
@filter_options
@click.option(
    "--output", "-o", required=True, type=click.Path(dir_okay=False, allow_dash=True), help="Where to; - is stdout."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(Format)),
    help="What the file is.  [default: what FILE's name ends in, else json]",
)
@click.option("--resume", "export_id", metavar="ID", help="Fetch an export that was begun before.")
@click.option("--keep", is_flag=True, help="Leave the file on the server, too, until it expires.")
@url_option("A running server.")
@token_option("The token for --url.")
def export(
    words: tuple[str, ...],
    output: str,
    form: Format | None,
    export_id: str | None,
    keep: bool,
    url: str,
    token: str | None,
    **filters: Unpack[Filters],
) -> None:
    """Write all events of the log that have all WORDS into a file.

    They are looked for as `forebay search` does, in what is there now, and stand in the order of the log. The server
    writes the file first; it is fetched then, however often the connection breaks, and has its name once it is whole.
    """
    conditions = conditions_of(words, filters)
    if export_id is not None and (conditions != Conditions() or form is not None):
        raise click.UsageError(
            "an export that was begun has its conditions and its format: give --resume or these, not both",
            click.get_current_context(silent=True),
        )
    with contextlib.closing(Api(url, token)) as api, Progress() as progress:
        if export_id is None:
            export_id = _begin(api, conditions, form or _BY_EXTENSION.get(Path(output).suffix.lower(), "json"))
        try:
            state = _completed(api, export_id, progress)
            _fetch(api, state, output, progress)
        except BaseException:
            notice(f"go on with: forebay export --resume {export_id} -o {shlex.quote(output)}")
            raise
        if not keep:
            api.change("DELETE", f"{EXPORT}/{export_id}")
    _tell(state)


def _begin(api: Api, conditions: Conditions, form: Format) -> str:
    query = urlencode([*parameters(conditions), ("format", form)])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            begun = api.change("GET", f"{EXPORT}?{query}")
            return msgspec.json.decode(begun, type=ExportBegunAnswer).data.export_id
        except Saturated as refused:
            if time.monotonic() > deadline:
                raise
            time.sleep(refused.retry_after or 1.0)


def _completed(api: Api, export_id: str, progress: Progress) -> ExportState:
    """Waits until the export's file is there."""
    reached = time.monotonic()
    while True:
        state = None
        try:
            state = msgspec.json.decode(api.change("GET", f"{EXPORT}/{export_id}"), type=ExportStateAnswer).data
            reached = time.monotonic()
        except (click.ClickException, ForebayError) as error:
            passes = not isinstance(error, ForebayError) or error.retryable
            if not passes or time.monotonic() - reached > PATIENCE_SECONDS:
                raise
            api.close()
        if state is not None and state.status != "processing":
            break
        if state is not None:
            progress.show(
                f"{bar(round(state.progress.fraction * 100), 100)}  {counted(state.progress.records, 'event')}"
            )
        time.sleep(POLL_SECONDS)
    if state.status == "completed":
        return state
    raise click.ClickException(f"the export has {state.status}{f': {state.error}' if state.error else ''}")


def _fetch(api: Api, state: ExportState, output: str, progress: Progress) -> None:
    length = state.progress.bytes
    with target(output, state.export_id) as to:
        fetch(
            api,
            f"{EXPORT}/{state.export_id}/download",
            length,
            to,
            lambda have: progress.show(f"{bar(have, length)}  {have / MIB:,.0f} of {length / MIB:,.0f} MiB"),
        )


def _tell(state: ExportState) -> None:
    notice(f"{counted(state.progress.records, 'event')}, {state.progress.bytes:,} bytes of {state.format}")
    if state.records_expired:
        notice(f"{counted(state.records_expired, 'event')} had been deleted before they could be read")
    if state.records_lost:
        notice(f"{counted(state.records_lost, 'damaged event')} could not be read")
