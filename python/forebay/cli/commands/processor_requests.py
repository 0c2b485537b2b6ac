"""Commands about stream processors share these: the server that they ask, and the name of a processor."""

from __future__ import annotations

import contextlib
from urllib.parse import quote

import click
import msgspec
from click.shell_completion import CompletionItem

from forebay.cli.api import Api
from forebay.cli.options import DEFAULT_URL, Command, token_option, url_option
from forebay.errors import ForebayError
from forebay.server.api.processors import ProcessorList

PATH = "/api/v1/processors"

COMPLETION_SECONDS = 1.0
"""The longest time that a shell waits for names when TAB is pressed."""


def server_options(command: Command) -> Command:
    return url_option("The server, http://host:port.")(token_option("The server's token.")(command))


def named(command: Command) -> Command:
    """The argument NAME, a processor of the server of `server_options`."""
    return click.argument("name", shell_complete=_names)(server_options(command))


def path_of(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"


def asked(url: str, token: str | None) -> contextlib.closing[Api]:
    return contextlib.closing(Api(url, token))


def _names(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """For the shell's completion, which a server that does not answer must not disturb."""
    with contextlib.suppress(click.ClickException, ForebayError):
        url, token = ctx.params.get("url") or DEFAULT_URL, ctx.params.get("token")
        with contextlib.closing(Api(url, token, COMPLETION_SECONDS)) as api:
            body, _ = api.get(PATH)
            everyone = msgspec.json.decode(body, type=ProcessorList).processors
            return [CompletionItem(each.name) for each in everyone if each.name.startswith(begun)]
    return []
