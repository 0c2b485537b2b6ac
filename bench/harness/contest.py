"""Rows that are measured in turns of their own, alternated, of which the best figures are kept."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from harness import machine, report
from harness.cache import Cache, Missing
from harness.comparison import say
from harness.runs import ALL, Conditions, Figures, Row

#: What begins a verdict on results that are not as they must be.
WRONG = "WRONG"
#: Of these figures more is better.
RATES = ("per_second",)

#: What is said of a turn.
BRIEF = (
    ("per_second", "{:,.0f}/s"),
    ("cpu", "{:.2f} CPU s/M"),
    ("rss_mb", "{:.0f} MB"),
    ("p50_ms", "p50 {:.2f} ms"),
    ("p99_ms", "p99 {:.2f} ms"),
    ("max_ms", "max {:.2f} ms"),
)


class Place(Protocol):
    """Where and how much is measured: each program has its own."""

    @property
    def cache(self) -> Cache: ...


P = TypeVar("P", bound=Place)


@dataclass(frozen=True)
class Outcome:
    """One turn: its figures, what they are of, and whether its results are right."""

    figures: Figures
    of: str
    verdict: str = ""


@dataclass(frozen=True)
class Contestant(Generic[P]):
    """One row.

    Attributes:
        name: as on the command line, where several rows may share it.
        turn: measures once.
        prepare: installs what it needs; raises `Missing` or `RuntimeError` when that cannot be had.
    """

    name: str
    title: str
    turn: Callable[[P], Outcome]
    prepare: Callable[[P], object]


@dataclass
class Rounds:
    """What all rounds gave, by the title of the row."""

    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)

    def round(self, place: P, number: int, ready: Sequence[Contestant[P]]) -> None:
        """A turn of each; each round begins with another one."""
        shift = number % len(ready)
        for one in [*ready[shift:], *ready[:shift]]:
            try:
                found = one.turn(place)
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                say(f"{one.title} failed in round {number + 1}: {error}")
                continue
            self.outcomes.setdefault(one.title, []).append(found)
            shown = [form.format(found.figures[name]) for name, form in BRIEF if name in found.figures]
            say(f"  {one.title}: {', '.join([*shown, *filter(None, [found.verdict])])}")

    def best(self, title: str) -> Figures:
        """Interference only makes figures worse."""
        every = [one.figures for one in self.outcomes[title]]
        return {name: (max if name in RATES else min)(one[name] for one in every) for name in every[0]}

    def wrong(self) -> list[str]:
        """The titles of the rows of which a turn had wrong results."""
        return [title for title, found in self.outcomes.items() if any(one.verdict.startswith(WRONG) for one in found)]

    def rows(self, titles: Sequence[str]) -> list[Row]:
        return [Row(title, self._means(title), {ALL: self.best(title)}) for title in titles if title in self.outcomes]

    def _means(self, title: str) -> str:
        verdicts = list(dict.fromkeys(one.verdict for one in self.outcomes[title]))
        shown = [one for one in verdicts if one.startswith(WRONG)] or verdicts
        return ", ".join(filter(None, [self.outcomes[title][0].of, "; ".join(shown)]))


def prepared(place: P, chosen: Sequence[Contestant[P]]) -> list[Contestant[P]]:
    """Those that can be had here; the others are named."""
    ready = []
    for one in chosen:
        try:
            one.prepare(place)
            ready.append(one)
        except (Missing, RuntimeError, subprocess.TimeoutExpired) as error:
            say(f"left out: {one.title}: {error}")
    return ready


def hold(table: str, place: P, where: str, ready: Sequence[Contestant[P]], options: argparse.Namespace) -> Rounds:
    """All rounds; the rows are printed, and kept unless `--no-append` was given. `where` describes the machine."""
    conditions = Conditions.now(where)
    if conditions.busy > machine.BUSY_ABOVE:
        say(f"others use {conditions.busy:.0%} of this machine: the figures are not comparable")
    rounds = Rounds()
    for number in range(options.rounds):
        say(f"round {number + 1}")
        rounds.round(place, number, ready)
    record(table, place.cache, rounds, conditions.commit)
    if rows := rounds.rows([one.title for one in ready]):
        report.present([conditions.run(table, rows)], keep=not options.no_append)
    return rounds


def record(table: str, cache: Cache, rounds: Rounds, commit: str) -> None:
    """Every single turn as JSON, for a look at the spread."""
    directory = cache.root / "results"
    directory.mkdir(exist_ok=True)
    file = directory / time.strftime(f"%Y%m%d-%H%M%S-{table}.json")
    turns = {title: [dataclasses.asdict(one) for one in found] for title, found in rounds.outcomes.items()}
    file.write_text(json.dumps({"run": commit, "turns": turns}, indent=1))
    say(f"all rounds are in {file}")


def parser(text: str | None) -> argparse.ArgumentParser:
    """With the options that all programs with such rows have."""
    found = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--only", default="", metavar="A,B", help="measure just these, by name")
    found.add_argument("--list", action="store_true", help="print the names")
    found.add_argument("--rounds", type=int, default=3, help="alternated rounds (3)")
    found.add_argument("--no-append", action="store_true", help="keep nothing in runs/")
    return found


def selected(
    found: argparse.ArgumentParser, options: argparse.Namespace, all_of_them: Collection[Contestant[Any]]
) -> list[Any]:
    """The rows that `--only` names, in their order; all without it."""
    names = {one.name for one in all_of_them}
    only = {name for name in options.only.split(",") if name} or names
    if unknown := only - names:
        found.error(f"unknown: {', '.join(sorted(unknown))}; --list prints the names")
    return [one for one in all_of_them if one.name in only]
