"""Options that several commands have, with the environment variables that stand for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

DEFAULT_DATA_DIR = "data"

DEFAULT_URL = "http://127.0.0.1:8080"
"""Where `forebay serve` listens when no setting says otherwise."""

Command = TypeVar("Command", bound=Callable[..., Any])


def data_dir_option(what: str) -> Callable[[Command], Command]:
    """`--data-dir`, also $FOREBAY_DATA_DIR, which `serve` takes as well."""
    return click.option(
        "--data-dir",
        envvar="FOREBAY_DATA_DIR",
        show_envvar=True,
        default=DEFAULT_DATA_DIR,
        show_default=True,
        type=click.Path(file_okay=False),
        # Known before --url is looked at.
        is_eager=True,
        help=what,
    )


def check_data_dir(data_dir: str) -> None:
    """Raises the error of a wrong argument when there is no such directory: nothing was done."""
    if not os.path.isdir(data_dir):
        raise click.UsageError(f"there is no data directory {data_dir!r}", click.get_current_context(silent=True))


def url_option(what: str) -> Callable[[Command], Command]:
    """`--url`, also $FOREBAY_URL, of a command that needs a running server."""
    return click.option(
        "--url", envvar="FOREBAY_URL", show_envvar=True, default=DEFAULT_URL, show_default=True, help=what
    )


def token_option(what: str) -> Callable[[Command], Command]:
    """`--token`, also $FOREBAY_TOKEN: a token on a command line is seen by everybody on the machine."""
    return click.option("--token", envvar="FOREBAY_TOKEN", show_envvar=True, help=what)


def place_options(command: Command) -> Command:
    """A stopped server's directory or a running one's URL: the one on the command line, else the URL of the
    environment, else the directory."""
    for option in (
        token_option("The token for --url."),
        click.option(
            "--url",
            envvar="FOREBAY_URL",
            show_envvar=True,
            callback=_url_or_directory,
            help="A running server, http://host:port.",
        ),
        data_dir_option("The directory of a stopped server."),
    ):
        command = option(command)
    return command


def _url_or_directory(ctx: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    if url is None or ctx.get_parameter_source("data_dir") is not ParameterSource.COMMANDLINE:
        return url
    if ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
        raise click.UsageError("give --data-dir or --url, not both", ctx)
    return None
