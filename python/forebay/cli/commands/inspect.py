"""`forebay inspect`."""

from __future__ import annotations

import json
from typing import Any

import click

from forebay.cli.commands.source import source
from forebay.cli.options import place_options
from forebay.cli.wording import counted, offsets


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@place_options
def inspect(as_json: bool, data_dir: str, url: str | None, token: str | None) -> None:
    """Show every stream's partitions, offsets, records and bytes, and the state of the log.

    Records are counted by their offsets, from the first that is kept: offsets that a repair has left without a record
    count as well.
    """
    with source(data_dir, url, token) as opened:
        streams, state = opened.streams(), opened.status()
    if as_json:
        click.echo(json.dumps({"streams": streams, "state": state}, indent=2))
        return
    for stream in streams:
        _say(stream)
    click.echo("state:")
    for name, value in sorted(state.items()):
        click.echo(f"  {name}: {_shown(value)}")


def _say(stream: dict[str, Any]) -> None:
    click.echo(
        f"{stream['name']}: {counted(stream['totalMessages'], 'record')}; {counted(stream['segments'], 'segment')} of "
        f"{stream['storedBytes']:,} bytes ({stream['rawBytes']:,} before compression); "
        f"{stream['unsealedBytes']:,} bytes not sealed yet"
    )
    for row in stream["partitionDetails"]:
        start, end = row["startOffset"], row["endOffset"]
        held = f"{counted(end - start, 'record')}, {offsets(start, end)}" if end > start else "no records"
        click.echo(f"  partition {row['partition']}: {held}; the next offset is {end}")


def _shown(value: object) -> str:
    if value is None or value in ("", []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value)
