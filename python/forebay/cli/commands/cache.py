"""`forebay cache`."""

from __future__ import annotations

from typing import get_args

import click

from forebay.server import config


@click.command()
@click.option(
    "--cache",
    "url",
    envvar="FOREBAY_CACHE",
    show_envvar=True,
    required=True,
    help="The Redis that a server publishes to: redis://host:6379/0, rediss://… with TLS, unix:///run/redis.sock. "
    "A password is better in the environment, where nobody else on the machine sees it.",
)
@click.option(
    "--cache-prefix",
    "prefix",
    envvar="FOREBAY_CACHE_PREFIX",
    show_envvar=True,
    default="forebay",
    show_default=True,
    help="What the keys begin with, as the server was told.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8081,
    show_default=True,
    help="Port to listen on. 0: a free one, which the log names.",
)
@click.option(
    "--tokens",
    type=click.Path(file_okay=False),
    help="A directory with tokens.json, as the server's data directory has it. Views and /metrics take the role read.",
)
@click.option("--no-auth", is_flag=True, help="Ask for no token. On a loopback address only, unless --insecure is set.")
@click.option("--insecure", is_flag=True, help="Allow --no-auth on any address.")
@click.option(
    "--log-level",
    envvar="FOREBAY_LOG_LEVEL",
    type=click.Choice(get_args(config.LogLevel)),
    default="info",
    show_default=True,
    help="Least level of its own log.",
)
@click.option(
    "--log-format",
    envvar="FOREBAY_LOG_FORMAT",
    type=click.Choice(get_args(config.LogFormat)),
    default="auto",
    show_default=True,
    help="Form of its own log.",
)
def cache(
    url: str,
    prefix: str,
    host: str,
    port: int,
    tokens: str | None,
    no_auth: bool,
    insecure: bool,
    log_level: config.LogLevel,
    log_format: config.LogFormat,
) -> None:
    """Serve the views of analytics events from Redis until SIGTERM or Ctrl-C.

    A server that has the setting cache computes them and writes them there. Any number of these processes may read;
    they compute nothing, write nothing, and need no data directory. It takes the package redis: pip install
    redis.
    """
    # Imported here: they take a tenth of a second that the other commands need not wait for.
    from forebay.server import cache_server, logs

    logs.occupy_standard_descriptors()
    logs.configure(log_level, log_format)
    cache_server.serve(cache_server.CacheOptions(url, prefix, host, port, tokens, no_auth, insecure))
