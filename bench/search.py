"""Measures searches of a log: forebay, chDB with two kinds of index, and ripgrep, over the same events in one run.

Usage:

    python bench/search.py                              everything; what cannot be had here is named and left out
    python bench/search.py --only forebay,ripgrep
    python bench/search.py --list                       the names
    python bench/search.py --events 500000 --rounds 1 --no-append       short and small, to see that it works

See README.md for the method.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import contest, log_events, machine, report
from harness.cache import BENCH, Cache, Missing, need
from harness.comparison import say
from harness.forebay import Forebay
from harness.process import Cores, Process
from harness.questions import QUESTIONS
from harness.runs import Conditions, Figures, Row
from harness.search_table import ENGINES, LOAD, MEMORY, PUBLISHED, milliseconds
from harness.server import Launch, fresh

EVENTS = 5_000_000
#: Loading and asking everything once end long before, at any number of events here.
RUN_LIMIT_S = 3_600
#: The aims of forebay, CPU ms at 5,000,000 events.
AIMS = (3.0, 1.5, 10.0, 50.0, 20.0, 20.0, 2.0, 900.0, 400.0, 3.0, 2.0, 30.0, 30.0, 2.0, 20.0)

Answers = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Bench:
    """Where and how much is measured."""

    cache: Cache
    cores: Cores
    events: Path
    count: int


@dataclass(frozen=True)
class Engine:
    """One column.

    Attributes:
        prepare: installs what it needs; raises `Missing` or `RuntimeError` when that cannot be had.
        load: the command that stores the events in a directory; None for one that reads the file.
        ask: the command that asks all questions.
    """

    name: str
    title: str
    prepare: Callable[[Cache], object]
    load: Callable[[Bench, Path], list[str | Path]] | None
    ask: Callable[[Bench, Path], list[str | Path]]


@dataclass
class Turns:
    """What one engine gave: once loaded, and asked in every round."""

    load: Figures = field(default_factory=dict)
    answers: list[Answers] = field(default_factory=list)
    memory: list[Figures] = field(default_factory=list)


def forebay_python(_: Cache | None = None) -> Path:
    return Forebay().command.with_name("python")


def chdb_python(cache: Cache) -> Path:
    return cache.venv("chdb-search", BENCH / "peers/chdb_search/requirements.txt")


SEARCHING, CHDB, RIPGREP = (
    BENCH / place for place in ("harness/searching.py", "peers/chdb_search/search.py", "peers/ripgrep_search/search.py")
)


def chdb(name: str, title: str, kind: str) -> Engine:
    return Engine(
        name,
        title,
        chdb_python,
        lambda bench, place: [chdb_python(bench.cache), CHDB, "load", kind, place, bench.events],
        lambda bench, place: [chdb_python(bench.cache), CHDB, "ask", kind, place],
    )


def ripgrep(_: Cache) -> None:
    for tool in ("rg", "tac", "sort", "uniq"):
        need(tool, "ripgrep's column")


CONTESTANTS = (
    Engine(
        "forebay",
        ENGINES[0],
        Forebay().prepare,
        lambda bench, place: [forebay_python(), SEARCHING, "load", place, bench.events],
        lambda _, place: [forebay_python(), SEARCHING, "ask", place],
    ),
    chdb("chdb-bloom", ENGINES[1], "bloom"),
    chdb("chdb-text", ENGINES[2], "text"),
    Engine("ripgrep", ENGINES[3], ripgrep, None, lambda bench, _: [sys.executable, RIPGREP, bench.events]),
)


def run(launch: Launch, command: Sequence[str | Path]) -> dict[str, Any]:
    """One process on one core. Returns the object that it prints.

    Raises:
        RuntimeError: it failed, or took too long.
    """
    interpreter, script, *arguments = map(str, command)
    # Without -P the script's folder comes first, where a module has the name of a package.
    process = launch.run([interpreter, "-P", script, *arguments], env={"PYTHONPATH": str(BENCH)})
    ended(process, script)
    found = json.loads([line for line in process.log.read_text().splitlines() if line.startswith("{")][-1])
    assert isinstance(found, dict)
    return found


def ended(process: Process, what: str) -> None:
    try:
        status = process.child.wait(RUN_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{what} was not done after {RUN_LIMIT_S} s:\n{process.tail()}") from None
    if status:
        raise RuntimeError(f"{what} ended with {status}:\n{process.tail()}")


def prepared(cache: Cache, chosen: Sequence[Engine]) -> list[Engine]:
    """Those that can be had here; the others are named."""
    ready = []
    for one in chosen:
        try:
            one.prepare(cache)
            ready.append(one)
        except (Missing, RuntimeError, subprocess.TimeoutExpired) as error:
            say(f"left out: {one.title}: {error}")
    return ready


def loaded(bench: Bench, launch: Launch, engine: Engine) -> Figures:
    """Stores the events. Figures are for a million of them, and for each."""
    if engine.load is None:
        return {"bytes_event": bench.events.stat().st_size / bench.count}
    found = run(launch, engine.load(bench, launch.directory / "stored"))
    return {"cpu": found["cpu"] / bench.count * 1e6, "bytes_event": found["bytes"] / bench.count}


def held(bench: Bench, engines: Sequence[Engine], rounds: int) -> dict[str, Turns]:
    """Loads every engine, then asks all of them in alternated rounds, each of which begins with another one."""
    turns: dict[str, Turns] = {}
    with contextlib.ExitStack() as stack:
        launches: dict[str, Launch] = {}
        for engine in engines:
            launch = stack.enter_context(fresh(engine.name, bench.cache, bench.cores))
            try:
                load = loaded(bench, launch, engine)
            except RuntimeError as error:
                say(f"left out: {engine.title}: {error}")
                continue
            launches[engine.name], turns[engine.title] = launch, Turns(load)
            say(f"  {engine.title}: {', '.join(f'{name} {value:.2f}' for name, value in load.items())}")
        ready = [one for one in engines if one.name in launches]
        for number in range(rounds):
            say(f"round {number + 1}")
            shift = number % max(len(ready), 1)
            for engine in [*ready[shift:], *ready[:shift]]:
                asked(bench, launches[engine.name], engine, turns[engine.title])
    return turns


def asked(bench: Bench, launch: Launch, engine: Engine, turns: Turns) -> None:
    try:
        found = run(launch, engine.ask(bench, launch.directory / "stored"))
    except RuntimeError as error:
        say(f"{engine.title} failed: {error}")
        return
    turns.answers.append(found["questions"])
    turns.memory.append(found["memory"])
    total = sum(one["cpu_ms"] for one in found["questions"].values())
    say(f"  {engine.title}: {total:,.0f} CPU ms for all questions")


def medians(every: Sequence[Figures]) -> Figures:
    """Of each figure the median."""
    return {name: statistics.median(one[name] for one in every) for name in every[0]} if every else {}


def row_of(title: str, turns: Turns) -> Row:
    answers = {name: medians([one[name] for one in turns.answers]) for name in QUESTIONS} if turns.answers else {}
    memory = {MEMORY: medians(turns.memory)} if turns.memory else {}
    return Row(title, "", answers | {LOAD: turns.load} | memory)


def disagreements(turns: dict[str, Turns]) -> Iterator[str]:
    """The questions to which two answers are not the same number, of any engine in any round."""
    for name in QUESTIONS:
        hits = {title: sorted({int(one[name]["hits"]) for one in found.answers}) for title, found in turns.items()}
        if len({number for numbers in hits.values() for number in numbers}) > 1:
            yield f"{contest.WRONG}: {name}: " + ", ".join(f"{title} {found}" for title, found in hits.items())


def beside(rows: Sequence[Row], count: int) -> Iterator[str]:
    """Each question, what forebay took, what was aimed at, and what VictoriaLogs took elsewhere."""
    mine = next((one for one in rows if one.who == ENGINES[0] and QUESTIONS[0] in one.figures), None)
    if mine is None:
        return
    yield f"CPU ms of forebay at {count:,} events; aims and VictoriaLogs v1.26.0 (another machine) at {EVENTS:,}:"
    for name, aim in zip(QUESTIONS, AIMS, strict=True):
        figures = mine.figures[name]
        verdict = "" if count < EVENTS else ", reached" if figures["cpu_ms"] <= aim else ", MISSED"
        took, hits = milliseconds(figures["cpu_ms"]), f"{figures['hits']:,.0f}"
        yield f"  {name} ({hits}): {took}, aim {aim:g}{verdict}; VictoriaLogs {PUBLISHED[name]}"


def arguments() -> tuple[argparse.Namespace, list[Engine]]:
    parser = contest.parser(__doc__)
    parser.set_defaults(rounds=5)
    parser.add_argument("--events", type=int, default=EVENTS, help=f"that are stored and searched ({EVENTS:,})")
    options = parser.parse_args()
    if options.events < log_events.LEAST_EVENTS:
        parser.error(f"--events is at least {log_events.LEAST_EVENTS:,}: with fewer the rare word is absent too")
    if options.events < EVENTS and not options.no_append:
        parser.error(f"with less than {EVENTS:,} events --no-append: the figures would not be those of the table")
    return options, contest.selected(parser, options, CONTESTANTS)


def main() -> int:
    options, chosen = arguments()
    if options.list:
        print(*(one.name for one in CONTESTANTS), sep="\n")
        return 0
    began, cache, cores = time.monotonic(), Cache.default(), Cores.available()
    engines = prepared(cache, chosen)
    if not engines:
        return 1
    conditions = Conditions.now(f"{machine.summary(cache.data)}; all on core {min(cores.server)}")
    if conditions.busy > machine.BUSY_ABOVE:
        say(f"others use {conditions.busy:.0%} of this machine: the figures are not comparable")
    bench = Bench(cache, cores, log_events.written(cache, options.events), options.events)
    turns = held(bench, engines, options.rounds)
    rows = [row_of(title, found) for title, found in turns.items() if found.answers]
    wrong = list(disagreements(turns))
    print(*wrong, *beside(rows, options.events), sep="\n")
    if rows:
        # What does not agree is not compared, so it is not kept.
        report.present([conditions.run("search", rows)], keep=not options.no_append and not wrong)
    say(f"{time.monotonic() - began:.0f} s")
    return 1 if wrong or len(rows) < len(engines) else 0


if __name__ == "__main__":
    sys.exit(main())
