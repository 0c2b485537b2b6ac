"""The command `forebay`.

Exit status: 0 done; 1 the operation failed; 2 wrong usage or settings; 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from forebay import __version__
from forebay.cli.exit_status import DONE, FAILED, INTERRUPTED, WRONG_USAGE
from forebay.cli.notices import NAME, notice
from forebay.cli.output import flush_output, give_output_up, occupy_closed_descriptors, output_failure
from forebay.errors import ConfigError, ForebayError

COMMANDS = {
    "bench": "bench",
    "cache": "cache",
    "dead-letter": "dead_letter",
    "export": "export",
    "inspect": "inspect",
    "jobs": "jobs",
    "processors": "processors",
    "read": "read",
    "repair": "repair",
    "search": "search",
    "send": "send",
    "serve": "serve",
    "token": "token",
    "torture": "torture",
    "verify": "verify",
}
"""The commands, each with its module in `commands` and its name there."""


class Commands(click.Group):
    """Imports a command when it is asked for, since one needs little of what all of them import, and ends quietly when
    the reader of standard output has gone, as in `forebay read … | head`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = COMMANDS.get(cmd_name)
        if name is None:
            return None
        command: click.Command = getattr(import_module(f"forebay.cli.commands.{name}"), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            done = super().invoke(ctx)
            flush_output()
        except BrokenPipeError:
            give_output_up()
            return 0
        return done


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="forebay")
def forebay() -> None:
    """A durable event-ingestion engine: HTTP in front, a partitioned log on disk, one process.

    Exit status: 0 done, 1 the operation failed, 2 wrong usage or settings, 130 interrupted.

    Environment: FOREBAY_URL and FOREBAY_TOKEN name a running server and the token for it, FOREBAY_DATA_DIR the
    directory of a stopped one, FOREBAY_CONFIG and FOREBAY_<NAME> the settings of `serve`. An option wins over them.
    With NO_COLOR nothing is coloured.

    Completion: put `eval "$(_FOREBAY_COMPLETE=bash_source forebay)"` into ~/.bashrc, or the same with zsh_source into
    ~/.zshrc, after compinit; `_FOREBAY_COMPLETE=fish_source forebay | source` into ~/.config/fish/config.fish.
    """


def main() -> None:
    """Runs the command and turns every failure into one line and an exit status."""
    occupy_closed_descriptors()
    try:
        status = forebay.main(prog_name=NAME, standalone_mode=False) or DONE
    except (click.Abort, KeyboardInterrupt):
        status = _fail("interrupted", INTERRUPTED)
    except click.UsageError as error:
        status = _refuse(error)
    except click.ClickException as error:
        status = _fail(error.format_message(), error.exit_code)
    except ConfigError as error:
        status = _fail(str(error), WRONG_USAGE)
    except ForebayError as error:
        status = _fail(f"{error.name}: {error.detail}", FAILED)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        status = _fail(output_failure() or f"{place}{error.strerror or error}", FAILED)
    sys.exit(status)


def _refuse(error: click.UsageError) -> int:
    """Wrong usage, in the form of every other failure, and where the right one stands."""
    path = error.ctx.command_path if error.ctx else NAME
    message = error.format_message()
    if message.startswith("Usage:"):
        # A group without a command: click gives its help as the message.
        click.echo(message, err=True)
        return WRONG_USAGE
    # click begins with a capital and ends with a full stop; nothing else here does.
    if message[1:2].islower():
        message = message[0].lower() + message[1:]
    return _fail(f"{message.rstrip('.')}; see '{path} --help'", WRONG_USAGE)


def _fail(message: str, status: int) -> int:
    notice(message)
    return status
