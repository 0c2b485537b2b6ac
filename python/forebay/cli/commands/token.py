"""`forebay token`: create, list, revoke. Works on the data directory, whether or not the server runs; a running one
takes changes in within two seconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click
from click.shell_completion import CompletionItem

from forebay.cli.options import DEFAULT_DATA_DIR, check_data_dir, data_dir_option
from forebay.errors import ForebayError, StorageUnavailable
from forebay.server.http.tokens import ALL_ROLES, MAX_QUOTA, Quota, Rate, RoleName, TokenStore, way_back

BURST_SECONDS = 10
"""Default burst of a limit, in seconds of its rate: senders gather for some seconds and then send."""


@click.group()
def token() -> None:
    """Tokens of a server: what a sender or reader shows to be let in.

    A running server takes changes in within two seconds.
    """


@token.command()
@click.option("--name", required=True, help="What it is called: 1 to 64 of A-Z a-z 0-9 . _ -")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice(ALL_ROLES),
    help="What it may do; none implies another. Several by repeating the option.",
)
@click.option("--project", "projects", multiple=True, help="Limits it to this project_id; may be repeated.")
@click.option("--events-per-second", type=click.IntRange(1, MAX_QUOTA), help="Limits the events that it sends.")
@click.option("--events-burst", type=click.IntRange(1, MAX_QUOTA), help="How many of them at once.  [default: 10 s]")
@click.option("--bytes-per-second", type=click.IntRange(1, MAX_QUOTA), help="Limits the bytes of decompressed bodies.")
@click.option("--bytes-burst", type=click.IntRange(1, MAX_QUOTA), help="How many of them at once.  [default: 10 s]")
@data_dir_option("The server's data directory.")
def create(
    name: str,
    roles: tuple[RoleName, ...],
    projects: tuple[str, ...],
    events_per_second: int | None,
    events_burst: int | None,
    bytes_per_second: int | None,
    bytes_burst: int | None,
    data_dir: str,
) -> None:
    """Make a token and print it. It is shown this once: only its hash is kept.

    A request beyond a limit is answered with 429 and Retry-After; one that is larger than a burst with 413.
    """
    events, size = _rate("events", events_per_second, events_burst), _rate("bytes", bytes_per_second, bytes_burst)
    quota = Quota(events=events, bytes=size) if events or size else None
    with _store(data_dir) as store:
        click.echo(store.create(name, roles, projects or None, quota))


def _rate(unit: str, per_second: int | None, burst: int | None) -> Rate | None:
    if per_second is None:
        if burst is not None:
            raise click.UsageError(f"--{unit}-burst needs --{unit}-per-second")
        return None
    return Rate(per_second=per_second, burst=burst or min(per_second * BURST_SECONDS, MAX_QUOTA))


@token.command("list")
@data_dir_option("The server's data directory.")
def listing(data_dir: str) -> None:
    """Show every token's name, roles, projects, limits and time of creation."""
    with _store(data_dir) as store:
        for row in store.read():
            projects = "all projects" if row.projects is None else f"projects {', '.join(row.projects)}"
            limits = _limits(row.quota or Quota())
            created = f"created {row.created:%Y-%m-%dT%H:%M:%SZ}"
            click.echo(f"{row.name}: {', '.join(row.roles)}; {projects}; {limits}{created}")


def _limits(quota: Quota) -> str:
    rates = (("events", quota.events), ("bytes", quota.bytes))
    return "".join(f"{rate.per_second} {unit}/s, {rate.burst} at once; " for unit, rate in rates if rate)


def _names(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """For the shell's completion, which a directory that cannot be read must not disturb."""
    with contextlib.suppress(OSError, ForebayError):
        rows = TokenStore(ctx.params.get("data_dir") or DEFAULT_DATA_DIR).read()
        return [CompletionItem(row.name) for row in rows if row.name.startswith(begun)]
    return []


@token.command()
@click.argument("name", shell_complete=_names)
@click.option("--force", is_flag=True, help="Also when it is the last one with the role ops.")
@data_dir_option("The server's data directory.")
def revoke(name: str, force: bool, data_dir: str) -> None:
    """Take the token NAME away: requests with it are answered with 401 from then on.

    The last token with the role ops stays, unless --force is given.
    """
    with _store(data_dir) as store:
        operated = store.revoke(name, force=force)
    click.echo(f"revoked {name}; a running server stops taking it within two seconds")
    if not operated:
        click.echo(f"no token has the role ops for all projects now; to come back in: {way_back(data_dir)}")


@contextlib.contextmanager
def _store(data_dir: str) -> Iterator[TokenStore]:
    check_data_dir(data_dir)
    store = TokenStore(data_dir)
    try:
        yield store
    except FileNotFoundError:
        raise click.ClickException(f"there is no {store.path}: no token was made here yet") from None
    except OSError as error:
        raise StorageUnavailable(f"{store.path}: {error.strerror}") from None
