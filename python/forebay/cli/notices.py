"""Lines on standard error about what a command does, in the form in which its failure is told too."""

from __future__ import annotations

import click

NAME = "forebay"
"""However it is started, `python -m forebay` too: in help, and in the variable that asks for shell completion."""


def notice(text: str) -> None:
    click.echo(f"{NAME}: {text}", err=True)


def token_hint(role: str) -> str:
    """Says how to give a token, for a request that was refused for want of one."""
    return f"give a token with the role {role} by --token or FOREBAY_TOKEN"
