"""`forebay serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import click

from forebay.embedded.options import Durability, texts
from forebay.server import config
from forebay.server.configuration import help_text, overview


@click.command(
    epilog=f"\b\nEvery setting, its default and its range (docs/configuration.md says what each does):\n{overview()}"
)
@click.option("--config", "file", type=click.Path(path_type=Path), envvar="FOREBAY_CONFIG", help="A TOML file.")
@click.option("--data-dir", type=click.Path(file_okay=False), help=help_text("data_dir"))
@click.option("--host", help=help_text("host"))
@click.option("--port", type=int, help=help_text("port"))
@click.option("--no-auth", is_flag=True, default=None, help=help_text("no_auth"))
@click.option("--insecure", is_flag=True, default=None, help=help_text("insecure"))
@click.option("--durability", type=click.Choice(get_args(Durability)), help=help_text("durability"))
@click.option(
    "--functions",
    multiple=True,
    callback=lambda _context, _option, given: texts(",".join(given)) or None,
    help=help_text("functions"),
)
@click.option("--log", help=help_text("log"))
@click.option("--cache", help=help_text("cache"))
@click.option("--log-level", type=click.Choice(get_args(config.LogLevel)), help=help_text("log_level"))
def serve(file: Path | None, **flags: object) -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C.

    Every setting can stand in the file given by --config, under its name, and in the environment as FOREBAY_<NAME>.
    A flag wins over the environment, and the environment over the file.
    """
    settings = config.load(file, os.environ, flags)
    # Imported here: they take a tenth of a second that the other commands need not wait for.
    from forebay.server import logs, server

    logs.occupy_standard_descriptors()
    logs.configure(settings.log_level, settings.log_format)
    server.serve(settings)
