"""`forebay dead-letter`: list, replay, drop. Asks a running server."""

from __future__ import annotations

import click
import msgspec

from forebay.cli.commands.processor_requests import asked, named, path_of
from forebay.cli.notices import notice
from forebay.cli.options import Command
from forebay.cli.wording import begun, counted
from forebay.embedded.processors import DEFAULT_DEAD_LETTERS
from forebay.processors.shapes import DroppedDeadLetters, Replay
from forebay.server.api.processors import MAX_DEAD_LETTERS


class _Letter(msgspec.Struct, rename="camel"):
    """A dead letter with its value as the server has it: no number is read, so none is changed."""

    offset: int
    failed_at: str
    error: str
    operation: str
    source: str
    source_partition: int
    source_offset: int
    timestamp: str
    key: str | None
    value: msgspec.Raw


class _Letters(msgspec.Struct, rename="camel"):
    stream: str
    waiting: int
    replaying: int
    dead_letters: list[_Letter]
    next_offset: int | None


@click.group("dead-letter")
def dead_letter() -> None:
    """Records that a stream processor of a running server could not process.

    NAME is the processor's name or id, OFFSET one of those that `list` shows.
    """


@dead_letter.command("list")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_DEAD_LETTERS,
    show_default=True,
    help="So many of the oldest.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@named
def listing(name: str, limit: int, as_json: bool, url: str, token: str | None) -> None:
    """Show the dead letters of NAME that are neither replayed nor dropped, the oldest first."""
    found = _asked(url, token, name, limit)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return
    for letter in found.dead_letters:
        _say(letter)
    more = f"; offset {found.next_offset} is the next" if found.next_offset is not None else ""
    notice(
        f"{found.stream}: {counted(found.waiting, 'dead letter')}, {found.replaying:,} being replayed; "
        f"{len(found.dead_letters):,} listed{more}"
    )


def _through(command: Command) -> Command:
    return click.option(
        "--through",
        metavar="OFFSET",
        type=click.IntRange(min=0),
        help="Up to and with this one.  [default: all that there are now]",
    )(named(command))


@dead_letter.command()
@_through
def replay(name: str, through: int | None, url: str, token: str | None) -> None:
    """Let the processor NAME try its dead letters again.

    Each goes through this processor alone, as a record that comes now. One that fails again is a new dead letter.
    """
    answer = _change(url, token, "POST", name, "/replay", through)
    click.echo(f"replaying {counted(msgspec.json.decode(answer, type=Replay).replaying, 'dead letter')} of {name}")


@dead_letter.command()
@_through
def drop(name: str, through: int | None, url: str, token: str | None) -> None:
    """Let dead letters of the processor NAME be: they are neither listed nor replayed any more."""
    answer = _change(url, token, "DELETE", name, "", through)
    click.echo(
        f"dropped {counted(msgspec.json.decode(answer, type=DroppedDeadLetters).dropped, 'dead letter')} of {name}"
    )


def _asked(url: str, token: str | None, name: str, limit: int) -> _Letters:
    """The first `limit`, from as many answers as they are in."""
    letters: list[_Letter] = []
    offset = 0
    with asked(url, token) as api:
        while True:
            most = min(limit - len(letters), MAX_DEAD_LETTERS)
            body, _ = api.get(f"{path_of(name)}/dead-letters?offset={offset}&limit={most}")
            page = msgspec.json.decode(body, type=_Letters)
            letters += page.dead_letters
            if page.next_offset is None or len(letters) >= limit:
                return msgspec.structs.replace(page, dead_letters=letters)
            offset = page.next_offset


def _say(letter: _Letter) -> None:
    key = "" if letter.key is None else f", key {begun(letter.key)}"
    value = msgspec.json.format(bytes(letter.value), indent=-1).decode()
    click.echo(f"offset {letter.offset}, {letter.failed_at}: {letter.operation}: {begun(letter.error)}")
    click.echo(f"  {letter.source}, partition {letter.source_partition}, offset {letter.source_offset}{key}")
    click.echo(f"  {begun(value)}")


def _change(url: str, token: str | None, method: str, name: str, action: str, through: int | None) -> bytes:
    query = "" if through is None else f"?through={through}"
    with asked(url, token) as api:
        return api.change(method, f"{path_of(name)}/dead-letters{action}{query}")
