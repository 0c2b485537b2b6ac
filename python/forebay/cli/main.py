"""The command `forebay`.

Exit status: 0 done; 1 the operation failed; 2 wrong usage or settings; 130 interrupted.
"""

from __future__ import annotations

import os
import sys

import click

from forebay import __version__
from forebay.cli.commands.bench import bench
from forebay.cli.commands.inspect import inspect
from forebay.cli.commands.read import read
from forebay.cli.commands.repair import repair
from forebay.cli.commands.send import send
from forebay.cli.commands.serve import serve
from forebay.cli.commands.token import token
from forebay.cli.commands.torture import torture
from forebay.cli.commands.verify import verify
from forebay.errors import ConfigError, ForebayError

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


class Commands(click.Group):
    """Ends quietly when the reader of standard output has gone: `forebay read … | head` has what it wanted."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Python would complain when it flushes on exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return done


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="forebay")
def forebay() -> None:
    """A durable event-ingestion engine: HTTP in front, a partitioned log on disk, one process.

    Exit status: 0 done, 1 the operation failed, 2 wrong usage or settings, 130 interrupted.
    """


forebay.add_command(serve)
forebay.add_command(inspect)
forebay.add_command(read)
forebay.add_command(token)
forebay.add_command(torture)
forebay.add_command(verify)
forebay.add_command(repair)
forebay.add_command(send)
forebay.add_command(bench)


def main() -> None:
    """Runs the command and turns every failure into one line and an exit status."""
    try:
        status = forebay.main(standalone_mode=False)
    except click.Abort:
        status = INTERRUPTED
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except ConfigError as error:
        status = _fail(str(error), WRONG_USAGE)
    except ForebayError as error:
        status = _fail(f"{error.name}: {error.detail}", FAILED)
    except KeyboardInterrupt:
        status = INTERRUPTED
    sys.exit(status)


def _fail(message: str, status: int) -> int:
    click.echo(f"forebay: {message}", err=True)
    return status
