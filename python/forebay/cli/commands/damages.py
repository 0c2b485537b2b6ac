"""How damage is shown to people."""

from __future__ import annotations

from collections.abc import Sequence

import click

from forebay.cli.wording import counted, offsets
from forebay.reports import Finding, OffsetRange

SHOWN = 50
"""Lines of one kind on a terminal; `--json` has all of them."""


def say_findings(findings: Sequence[Finding]) -> None:
    for finding in findings[:SHOWN]:
        place = f", {counted(finding['range'][1], 'byte')} at {finding['range'][0]}" if finding["range"] else ""
        click.echo(f"  {finding['file']}{place}: {finding['what']}")
        say_offsets(finding["offsets"], indent="    ")
    _more(len(findings))


def say_offsets(ranges: Sequence[OffsetRange], indent: str = "  ") -> None:
    """How many offsets a range has, and not records: which of them ever had one is not always known."""
    for of in ranges[:SHOWN]:
        start, end = of["start"], of["end"]
        count = f", {counted(end - start, 'offset')}" if end - start > 1 else ""
        click.echo(f"{indent}stream {of['stream']}, partition {of['partition']}: {offsets(start, end)}{count}")
    _more(len(ranges), indent)


def total(ranges: Sequence[OffsetRange]) -> int:
    """How many offsets the ranges have together."""
    return sum(of["end"] - of["start"] for of in ranges)


def _more(count: int, indent: str = "  ") -> None:
    if count > SHOWN:
        click.echo(f"{indent}… and {count - SHOWN} more")
