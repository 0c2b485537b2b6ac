"""`forebay processors`: list, create, preview, pause, resume, delete. Asks a running server."""

from __future__ import annotations

import json
import tomllib
from typing import Any, BinaryIO

import click
import msgspec

from forebay.cli.commands.processor_requests import PATH, asked, named, path_of, server_options
from forebay.cli.notices import notice
from forebay.cli.wording import begun, counted
from forebay.embedded.processors import DEFAULT_PREVIEW_RECORDS
from forebay.processors.shapes import Preview, ProcessorDescription
from forebay.processors.summary import steps
from forebay.server.api.processors import ProcessorList


@click.group()
def processors() -> None:
    """Stream processors of a running server, by name or id.

    FILE is a definition in JSON or TOML, the body of POST /api/v1/processors; - is standard input.
    """


@processors.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@server_options
def listing(as_json: bool, url: str, token: str | None) -> None:
    """Show every processor with its status, its figures and what it does."""
    with asked(url, token) as api:
        body, _ = api.get(PATH)
    if as_json:
        click.echo(json.dumps(json.loads(body), indent=2))
        return
    for each in msgspec.json.decode(body, type=ProcessorList).processors:
        processed = counted(each.metrics.events_processed, "record")
        click.echo(f"{each.name}: {each.status}; {processed} processed, {each.metrics.lag:,} waiting; {_id(each)}")
        click.echo(f"  {' | '.join(steps(msgspec.to_builtins(each)))}")
        for why in filter(None, (each.reason, each.blocked_by)):
            click.echo(f"  {why}")
        if each.degraded is not None:
            click.echo(f"  a function failed within the last minute: {begun(each.degraded)}")


@processors.command()
@click.argument("file", type=click.File("rb"))
@click.option("--from", "replaced", metavar="NAME", help="Take the place of this one, with its open windows.")
@click.option("--discard", is_flag=True, help="With --from: drop the open windows.")
@server_options
def create(file: BinaryIO, replaced: str | None, discard: bool, url: str, token: str | None) -> None:
    """Create the processor that FILE defines. It runs from then on.

    With --from it takes the place of another, and goes on where that one stands; their windows have to be of the same
    kind, or be dropped.
    """
    definition = _following(_definition(file), replaced, discard)
    with asked(url, token) as api:
        made = msgspec.json.decode(api.change("POST", PATH, definition), type=ProcessorDescription)
    click.echo(f"created {made.name}, {_id(made)}: {made.status}")


@processors.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--records",
    type=click.IntRange(min=1),
    default=DEFAULT_PREVIEW_RECORDS,
    show_default=True,
    help="So many of the newest records.",
)
@server_options
def preview(file: BinaryIO, records: int, url: str, token: str | None) -> None:
    """Print what the processor that FILE defines would make of the newest records of its source.

    Results are NDJSON: {"key","timestamp","value"}. Standard error says how many records were read, matched and failed.
    Nothing is created or written.
    """
    definition = _definition(file)
    with asked(url, token) as api:
        body = api.change("POST", f"{PATH}/preview?records={records}", definition)
    found = msgspec.json.decode(body, type=Preview)
    for result in found.results:
        click.echo(msgspec.json.encode(result))
    notice(
        f"{counted(found.records_read, 'record')} read, {found.matched:,} matched, {found.late:,} late; "
        f"{counted(len(found.results), 'result')}{', and more that are left out' * found.more_results}"
    )
    for failure in found.failures:
        notice(f"{failure.operation}: {counted(failure.count, 'record')} failed: {failure.error}")


@processors.command()
@named
def pause(name: str, url: str, token: str | None) -> None:
    """Let the processor NAME stand where it is, until it is resumed."""
    _change(url, token, "POST", name, "/pause")
    click.echo(f"paused {name}")


@processors.command()
@named
def resume(name: str, url: str, token: str | None) -> None:
    """Let the processor NAME go on where it stands."""
    _change(url, token, "POST", name, "/resume")
    click.echo(f"resumed {name}")


@processors.command()
@named
def delete(name: str, url: str, token: str | None) -> None:
    """Delete the processor NAME with its open windows. Its sink stays, with all that is in it."""
    _change(url, token, "DELETE", name)
    click.echo(f"deleted {name}")


def _change(url: str, token: str | None, method: str, name: str, action: str = "") -> None:
    with asked(url, token) as api:
        api.change(method, f"{path_of(name)}{action}")


def _id(each: ProcessorDescription) -> str:
    return f"id {each.processor_id}"


def _following(definition: bytes, replaced: str | None, discard: bool) -> bytes:
    if replaced is None:
        if discard:
            raise click.UsageError("--discard goes with --from", click.get_current_context(silent=True))
        return definition
    try:
        fields = msgspec.json.decode(definition, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.UsageError(f"FILE is no definition: {error}", click.get_current_context(silent=True)) from None
    return msgspec.json.encode(fields | {"from": replaced} | ({"state": "discard"} if discard else {}))


def _definition(file: BinaryIO) -> bytes:
    """The file as JSON. No TOML document begins with a brace."""
    text = file.read()
    if text.lstrip()[:1] == b"{":
        # The server says what is wrong with it, as with any body.
        return text
    try:
        return msgspec.json.encode(tomllib.loads(text.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(
            f"{file.name} is neither JSON nor TOML: {error}", click.get_current_context(silent=True)
        ) from None
