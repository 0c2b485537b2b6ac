"""Lines on standard error about what a command does, in the form in which its failure is told too."""

from __future__ import annotations

import sys

import click

from forebay.cli.output import lead_nowhere

NAME = "forebay"
"""However it is started, `python -m forebay` too: in help, and in the variable that asks for shell completion."""


def notice(text: str) -> None:
    """Says it on standard error. Where that is full there is nowhere to say it, and the exit status is left."""
    try:
        click.echo(f"{NAME}: {text}", err=True)
    except OSError:
        # Python would try the rest of it again when it exits, which would change the status.
        lead_nowhere(sys.stderr)


def token_hint(role: str) -> str:
    """Says how to give a token, for a request that was refused for want of one."""
    return f"give a token with the role {role} by --token or FOREBAY_TOKEN"
