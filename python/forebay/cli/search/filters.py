"""Options that say which events are looked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import click
from click.shell_completion import CompletionItem

from forebay.cli.options import Command
from forebay.cli.search.times import When
from forebay.embedded.conditions import Condition, Conditions, whole_millisecond
from forebay.errors import InvalidRequest

LEVELS = ("debug", "info", "warning", "error")


def _levels(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Any level may be searched for; a shell completes the common ones."""
    return [CompletionItem(level) for level in LEVELS if level.startswith(begun)]


class Where(click.ParamType[Condition]):
    """`path>=number`, `path=text`."""

    name = "condition"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Condition:
        if isinstance(value, Condition):
            return value
        try:
            return Condition.parse(str(value))
        except InvalidRequest as error:
            self.fail(error.detail, param, ctx)


class Filters(TypedDict):
    """The values of `filter_options`."""

    since: int | None
    until: int | None
    level: str | None
    service: str | None
    project: str | None
    request_id: str | None
    user_id: str | None
    where: tuple[Condition, ...]


def conditions_of(words: tuple[str, ...], filters: Filters) -> Conditions:
    """Returns what the words and the options ask for.

    Raises:
        InvalidRequest: it is more than a search takes.
    """
    until = filters["until"]
    conditions = Conditions(
        query=" ".join(words),
        level=filters["level"],
        service=filters["service"],
        project_id=filters["project"],
        start_time=filters["since"],
        end_time=None if until is None else whole_millisecond(until),
        request_id=filters["request_id"],
        user_id=filters["user_id"],
        metadata=filters["where"],
    )
    conditions.check()
    return conditions


def filter_options(command: Command) -> Command:
    """Adds the options that say which events are looked for, beside their words."""
    options: tuple[Callable[[Command], Command], ...] = (
        click.option(
            "--since", type=When(), help="From then on: 30s, 15m, 1h, 2d ago, or a time (UTC without a zone)."
        ),
        click.option("--until", type=When(), help="Up to then."),
        click.option("--level", shell_complete=_levels, help="In any case; warn and warning are one."),
        click.option("--service", help="Exactly this."),
        click.option("--project", help="Exactly this project_id."),
        click.option("--request-id", help="metadata.request_id, as text."),
        click.option("--user-id", help="metadata.user_id, as text."),
        click.option("--where", type=Where(), multiple=True, help="On metadata: 'status>=500', user.plan=free."),
    )
    for option in reversed(options):
        command = option(command)
    return command
