"""Measures stream processors: forebay's, and what else one could use, over the same transactions in one run.

Usage:

    python bench/processors.py                      everything; peers that cannot be had here are named and left out
    python bench/processors.py --only forebay,python,duckdb
    python bench/processors.py --list               the names

See README.md for the method.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness import contest, machine, transactions
from harness.cache import BENCH, Cache
from harness.comparison import say
from harness.contest import Outcome
from harness.forebay import Forebay
from harness.process import Cores, Process, free_port
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

    @property
    def counted(self) -> str:
        return f"{self.records:,}"


Contestant = contest.Contestant[Bench]


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
            return Outcome(found, bench.counted, transactions.judged_counts(want, output))

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
            return Outcome(found, bench.counted, transactions.judged_values(reference(path), output))

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
        verdict = transactions.verdict(results, {what: int(abs(n)) for what, n in wrong.items()})
        return Outcome(found, f"{records:,}", verdict)

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
            return Outcome(found, bench.counted, transactions.judged_counts(tumbling(path), output))

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
        return Outcome(found, f"{records:,}", transactions.judged_counts(tumbling(path), output))


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


def ratios(rounds: contest.Rounds) -> list[str]:
    """forebay's rate and CPU time beside those of each peer in this run."""
    mine = CONTESTANTS[0].title
    peers = [one.title for one in CONTESTANTS if not one.name.startswith("forebay") and one.title in rounds.outcomes]
    if mine not in rounds.outcomes:
        return []
    ours, lines = rounds.best(mine), []
    for title in peers:
        theirs = rounds.best(title)
        rate, cpu = ours["per_second"] / theirs["per_second"], ours["cpu"] / theirs["cpu"]
        lines.append(f"{mine} beside {title}: {rate:.2g} times its rate, {cpu:.2g} times its CPU")
    return lines


def arguments() -> tuple[argparse.Namespace, list[Contestant]]:
    parser = contest.parser(__doc__)
    parser.add_argument("--records", type=int, default=RECORDS, help=f"of each turn ({RECORDS:,})")
    options = parser.parse_args()
    if not 1_000 <= options.records <= 2_000_001:
        # More does not fit into one journal file, and some would be sealed.
        parser.error("--records is from 1,000 to 2,000,001")
    return options, contest.selected(parser, options, CONTESTANTS)


def main() -> int:
    options, chosen = arguments()
    if options.list:
        print(*dict.fromkeys(one.name for one in CONTESTANTS), sep="\n")
        return 0
    began = time.monotonic()
    bench = Bench(Cache.default(), Cores.available(), options.records)
    ready = contest.prepared(bench, chosen)
    if not ready:
        return 1
    place = f"{machine.summary(bench.cache.data)}; peers on core {min(bench.cores.server)}"
    rounds = contest.hold("processors", bench, place, ready, options)
    print(*ratios(rounds), sep="\n")
    say(f"{time.monotonic() - began:.0f} s")
    return 1 if any(title.startswith("forebay") for title in rounds.wrong()) else 0


if __name__ == "__main__":
    sys.exit(main())
