"""Measures stream processors: forebay's, and what else one could use, over the same transactions in one run.

Usage:

    python bench/processors.py                      everything; peers that cannot be had here are named and left out
    python bench/processors.py --only forebay,python,duckdb
    python bench/processors.py --list               the names

See README.md for the method.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness import machine, report, transactions
from harness.cache import BENCH, Cache, Missing
from harness.comparison import say
from harness.forebay import Forebay
from harness.process import Cores, Process, free_port
from harness.runs import ALL, Conditions, Figures, Row
from harness.server import Launch, fresh
from services.kafka import KafkaBroker, kafka_libraries

RECORDS = 1_000_001
KEYS, MANY_KEYS = 10_000, 1_000_000
#: It takes about thirty times as long for a record as the others: a fifth of them is enough.
QUIX_SHARE = 5
#: Of the rows with and without a thousand processors.
PROCESSORS, THOUSAND_RECORDS, THOUSAND_KEYS = 1_000, 20_001, 100
RUN_LIMIT_S = 600
POLL_S = 0.05
TOPIC, RESULTS_TOPIC = "transactions", "results"


@dataclass(frozen=True)
class Bench:
    """Where and how much is measured."""

    cache: Cache
    cores: Cores
    records: int


@dataclass(frozen=True)
class Outcome:
    """One turn: its figures, how many records it had, and whether its results are right."""

    figures: Figures
    records: int
    verdict: str


@dataclass(frozen=True)
class Contestant:
    """One row.

    Attributes:
        name: as on the command line, where several rows may share it.
        prepare: installs what it needs; raises `Missing` or `RuntimeError` when that cannot be had.
        turn: measures once.
    """

    name: str
    title: str
    turn: Callable[[Bench], Outcome]
    prepare: Callable[[Bench], object]


def python(_: Bench | None = None) -> Path:
    """The interpreter that has forebay."""
    return Forebay().command.with_name("python")


def installed(bench: Bench) -> None:
    Forebay().prepare(bench.cache)


def venv(bench: Bench, peer: str) -> Path:
    return bench.cache.venv(peer.replace("_", "-"), BENCH / "peers" / peer / "requirements.txt")


@lru_cache(maxsize=4)
def expected(path: Path, length: int, slide: int) -> dict[transactions.Key, int]:
    return transactions.counts(path, length, slide)


def tumbling(path: Path) -> dict[transactions.Key, int]:
    return expected(path, transactions.WINDOW_MS, transactions.WINDOW_MS)


def sliding(path: Path) -> dict[transactions.Key, int]:
    return expected(path, transactions.SLIDING_MS, transactions.SLIDE_MS)


def run(launch: Launch, command: Sequence[str | Path]) -> dict[str, float]:
    """One turn in a process of its own, on the server's core. Returns the figures that it prints."""
    interpreter, script, *arguments = map(str, command)
    # Without -P the script's folder comes first, where a module has the name of a package.
    process = launch.run([interpreter, "-P", script, *arguments], env={"PYTHONPATH": str(BENCH)})
    ended(process, script)
    # Beside warnings of what it imports.
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


def forebay_windows(
    shape: str, kind: str = "ring", keys: int = KEYS, reference: Callable[[Path], dict[Any, int]] = tumbling
) -> Callable[[Bench], Outcome]:
    """A turn of forebay that counts."""

    def turn(bench: Bench) -> Outcome:
        path = transactions.written(bench.cache, bench.records, keys)
        want = reference(path)
        with fresh("processors", bench.cache, bench.cores) as launch:
            output = launch.directory / "output"
            script = BENCH / "harness/processing.py"
            found = run(launch, [python(), script, shape, kind, path, output, launch.directory / "log", str(len(want))])
            return Outcome(found, bench.records, transactions.judged_counts(want, output))

    return turn


def forebay_values(shape: str, reference: Callable[[Path], Any]) -> Callable[[Bench], Outcome]:
    """A turn of forebay without windows."""

    def turn(bench: Bench) -> Outcome:
        path = transactions.written(bench.cache, bench.records, KEYS)
        results = sum(1 for _ in reference(path))
        with fresh("processors", bench.cache, bench.cores) as launch:
            output = launch.directory / "output"
            script = BENCH / "harness/processing.py"
            found = run(launch, [python(), script, shape, "ring", path, output, launch.directory / "log", str(results)])
            return Outcome(found, bench.records, transactions.judged_values(reference(path), output))

    return turn


def thousand(processors: int) -> Callable[[Bench], Outcome]:
    """A turn of steady appends beside so many processors, on all cores."""

    def turn(bench: Bench) -> Outcome:
        records = min(bench.records, THOUSAND_RECORDS)
        path = transactions.written(bench.cache, records, THOUSAND_KEYS)
        cores = Cores(bench.cores.server | bench.cores.load, bench.cores.load)
        with fresh("processors", bench.cache, cores) as launch:
            script = BENCH / "harness/thousand.py"
            found = run(launch, [python(), script, path, launch.directory / "log", str(processors)])
        results, processed = transactions.rules(path, processors), records * processors
        wrong = {"results missing": results - found.pop("results"), "records": processed - found.pop("processed")}
        return Outcome(found, records, transactions.verdict(results, {what: int(abs(n)) for what, n in wrong.items()}))

    return turn


def plain(peer: str, *more: str) -> Callable[[Bench], Outcome]:
    """A turn of a peer that reads the file."""

    def turn(bench: Bench) -> Outcome:
        path = transactions.written(bench.cache, bench.records, KEYS)
        interpreter = python() if peer == "python_windows" else venv(bench, peer)
        with fresh(peer, bench.cache, bench.cores) as launch:
            output = launch.directory / "output"
            script = BENCH / "peers" / peer / "count.py"
            found = run(launch, [interpreter, script, path, output, str(bench.records), *more])
            return Outcome(found, bench.records, transactions.judged_counts(tumbling(path), output))

    return turn


def quix(bench: Bench) -> Outcome:
    """A turn of Quix Streams: its client has the server's core for itself, the broker has the other one."""
    records = max(bench.records // QUIX_SHARE, 1_000)
    path = transactions.written(bench.cache, records, KEYS)
    interpreter = venv(bench, "quix_windows")
    swapped = Cores(bench.cores.load, bench.cores.server)
    with fresh("quix", bench.cache, swapped) as around, fresh("quix", bench.cache, bench.cores) as launch:
        broker = KafkaBroker(around, around.port, free_port())
        broker.start()
        for topic in (TOPIC, RESULTS_TOPIC):
            # The event times are long ago, and retention goes by them.
            broker.create_topic(topic, {"retention.ms": "-1"}, partitions=1)
        output = launch.directory / "output"
        script = BENCH / "peers/quix_windows/count.py"
        found = run(launch, [interpreter, script, path, output, str(records), broker.address, launch.directory])
        return Outcome(found, records, transactions.judged_counts(tumbling(path), output))


def quix_installed(bench: Bench) -> None:
    kafka_libraries(bench.cache)
    venv(bench, "quix_windows")


def peer(name: str) -> Callable[[Bench], object]:
    return lambda bench: venv(bench, name)


CONTESTANTS = (
    Contestant("forebay", "forebay, records in the ring", forebay_windows("tumbling"), installed),
    Contestant(
        "forebay",
        "forebay, records in the ring, event time from a field",
        forebay_windows("tumbling-field"),
        installed,
    ),
    Contestant("forebay", "forebay, records sealed with zstd", forebay_windows("tumbling", "zstd"), installed),
    Contestant("python", "Python, msgspec Struct of three fields", plain("python_windows"), installed),
    Contestant("duckdb", "DuckDB, a batch, one thread", plain("duckdb_windows"), peer("duckdb_windows")),
    Contestant("pathway", "Pathway, no behavior", plain("pathway_windows"), peer("pathway_windows")),
    Contestant(
        "pathway-once",
        "Pathway, exactly_once_behavior",
        plain("pathway_windows", "once"),
        peer("pathway_windows"),
    ),
    Contestant("quix", "Quix Streams on Kafka, exactly once, the client alone", quix, quix_installed),
    Contestant(
        "forebay-keys",
        "forebay, 1,000,000 keys",
        forebay_windows("tumbling", keys=MANY_KEYS),
        installed,
    ),
    Contestant(
        "forebay-sliding",
        "forebay, sliding 1 h every minute, 60 panes",
        forebay_windows("sliding", reference=sliding),
        installed,
    ),
    Contestant(
        "forebay-copy",
        "forebay, a filter that copies half",
        forebay_values("copy", transactions.above),
        installed,
    ),
    Contestant(
        "forebay-map",
        "forebay, a Python map in a worker process",
        forebay_values("map", transactions.scored),
        installed,
    ),
    Contestant("forebay-thousand", "forebay, 1,000 records/s by tens, no processor", thousand(0), installed),
    Contestant(
        "forebay-thousand",
        "forebay, 1,000 records/s by tens, 1,000 processors on the stream",
        thousand(PROCESSORS),
        installed,
    ),
)
#: Of these figures more is better.
RATES = ("per_second",)


@dataclass
class Rounds:
    """What all rounds gave, by the title of the row."""

    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)

    def round(self, bench: Bench, number: int, ready: Sequence[Contestant]) -> None:
        """A turn of each; each round begins with another one."""
        shift = number % len(ready)
        for one in [*ready[shift:], *ready[:shift]]:
            try:
                found = one.turn(bench)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                say(f"{one.title} failed in round {number + 1}: {error}")
                continue
            self.outcomes.setdefault(one.title, []).append(found)
            shown = found.figures
            say(
                f"  {one.title}: {shown['per_second']:,.0f}/s, {shown['cpu']:.2f} CPU s/M, "
                f"{shown['rss_mb']:.0f} MB, {found.verdict}"
            )

    def best(self, title: str) -> Figures:
        """Interference only makes figures worse."""
        every = [one.figures for one in self.outcomes[title]]
        return {name: (max if name in RATES else min)(one[name] for one in every) for name in every[0]}

    def rows(self) -> list[Row]:
        found = []
        for title in (one.title for one in CONTESTANTS if one.title in self.outcomes):
            rounds = self.outcomes[title]
            verdicts = dict.fromkeys(one.verdict for one in rounds if one.verdict != "right")
            means = f"{rounds[0].records:,}, {'; '.join(verdicts) or 'right'}"
            found.append(Row(title, means, {ALL: self.best(title)}))
        return found

    def ratios(self) -> list[str]:
        """forebay's rate and CPU time beside those of each peer in this run."""
        mine = CONTESTANTS[0].title
        peers = [one.title for one in CONTESTANTS if not one.name.startswith("forebay") and one.title in self.outcomes]
        if mine not in self.outcomes:
            return []
        ours, lines = self.best(mine), []
        for title in peers:
            theirs = self.best(title)
            rate, cpu = ours["per_second"] / theirs["per_second"], ours["cpu"] / theirs["cpu"]
            lines.append(f"{mine} beside {title}: {rate:.2g} times its rate, {cpu:.2g} times its CPU")
        return lines


def prepared(bench: Bench, chosen: Sequence[Contestant]) -> list[Contestant]:
    """Those that can be had here; the others are named."""
    ready = []
    for one in chosen:
        try:
            one.prepare(bench)
            ready.append(one)
        except (Missing, RuntimeError, subprocess.TimeoutExpired) as error:
            say(f"left out: {one.title}: {error}")
    return ready


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="A,B", help="measure just these, by name")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--records", type=int, default=RECORDS, help=f"of each turn ({RECORDS:,})")
    parser.add_argument("--rounds", type=int, default=3, help="alternated rounds (3)")
    parser.add_argument("--no-append", action="store_true", help="keep nothing in runs/")
    options = parser.parse_args()
    if not 1_000 <= options.records <= 2_000_001:
        # More does not fit into one journal file, and some would be sealed.
        parser.error("--records is from 1,000 to 2,000,001")
    names = {one.name for one in CONTESTANTS}
    options.only = {name for name in options.only.split(",") if name} or names
    if unknown := options.only - names:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; --list prints the names")
    return options


def record(cache: Cache, rounds: Rounds, commit: str) -> None:
    """Every single turn as JSON, for a look at the spread."""
    place = cache.root / "results"
    place.mkdir(exist_ok=True)
    file = place / time.strftime("%Y%m%d-%H%M%S-processors.json")
    turns = {title: [dataclasses.asdict(one) for one in found] for title, found in rounds.outcomes.items()}
    file.write_text(json.dumps({"run": commit, "turns": turns}, indent=1))
    say(f"all rounds are in {file}")


def main() -> int:
    options = arguments()
    if options.list:
        print(*dict.fromkeys(one.name for one in CONTESTANTS), sep="\n")
        return 0
    began = time.monotonic()
    bench = Bench(Cache.default(), Cores.available(), options.records)
    ready = prepared(bench, [one for one in CONTESTANTS if one.name in options.only])
    if not ready:
        return 1
    conditions = Conditions.now(f"{machine.summary(bench.cache.data)}; peers on core {min(bench.cores.server)}")
    if conditions.busy > machine.BUSY_ABOVE:
        say(f"others use {conditions.busy:.0%} of this machine: the figures are not comparable")
    rounds = Rounds()
    for number in range(options.rounds):
        say(f"round {number + 1}")
        rounds.round(bench, number, ready)
    record(bench.cache, rounds, conditions.commit)
    report.present([conditions.run("processors", rounds.rows())], keep=not options.no_append)
    print(*rounds.ratios(), sep="\n")
    say(f"{time.monotonic() - began:.0f} s")
    wrong = [title for title, found in rounds.outcomes.items() if any(one.verdict != "right" for one in found)]
    return 1 if any(title.startswith("forebay") for title in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
