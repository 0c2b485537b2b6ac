"""How damage is shown to people."""

from __future__ import annotations

from collections.abc import Sequence

import click

from forebay.reports import Finding, OffsetRange

SHOWN = 50
"""Lines of one kind on a terminal; `--json` has all of them."""


def say_findings(findings: Sequence[Finding]) -> None:
    for finding in findings[:SHOWN]:
        place = f" bytes {finding['range'][0]} to {sum(finding['range'])}" if finding["range"] else ""
        click.echo(f"  {finding['file']}{place}: {finding['what']}")
        say_offsets(finding["offsets"], indent="    ")
    _more(len(findings))


def say_offsets(ranges: Sequence[OffsetRange], indent: str = "  ") -> None:
    for of in ranges[:SHOWN]:
        count = of["end"] - of["start"]
        click.echo(
            f"{indent}stream {of['stream']}, partition {of['partition']}: offsets {of['start']} to {of['end']}, "
            f"{count:,} records"
        )
    _more(len(ranges), indent)


def _more(count: int, indent: str = "  ") -> None:
    if count > SHOWN:
        click.echo(f"{indent}… and {count - SHOWN} more")
