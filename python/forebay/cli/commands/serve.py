"""`forebay serve`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from forebay.server import config


@click.command()
@click.option("--config", "file", type=click.Path(path_type=Path), envvar="FOREBAY_CONFIG", help="A TOML file.")
@click.option("--data-dir", help="Where the log lives; created when missing.  [default: data]")
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="The port; 0 takes a free one.  [default: 8080]")
@click.option("--no-auth", is_flag=True, default=None, help="Ask for no token; on a loopback address only.")
@click.option("--insecure", is_flag=True, default=None, help="Allow --no-auth on any address.")
@click.option("--durability", help="What an acknowledgement means: fsync, interval or memory.  [default: fsync]")
@click.option("--log", help="The log: embedded.")
@click.option("--log-level", help="debug, info, warning or error.  [default: info]")
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
