"""`forebay inspect`."""

from __future__ import annotations

import click

from forebay.cli.commands.source import source
from forebay.cli.options import place_options


@click.command()
@place_options
def inspect(data_dir: str, url: str | None, token: str | None) -> None:
    """Show every stream's partitions, offsets, records and bytes, and the state of the log."""
    with source(data_dir, url, token) as opened:
        for stream in opened.streams():
            click.echo(
                f"{stream['name']}: {stream['totalMessages']} records; {stream['segments']} segments of "
                f"{stream['storedBytes']} bytes ({stream['rawBytes']} before compression); "
                f"{stream['unsealedBytes']} bytes not sealed yet"
            )
            for row in stream["partitionDetails"]:
                click.echo(
                    f"  partition {row['partition']}: offsets {row['startOffset']} to {row['endOffset']}, "
                    f"{row['endOffset'] - row['startOffset']} records"
                )
        click.echo("status:")
        for name, value in sorted(opened.status().items()):
            click.echo(f"  {name}: {value}")
