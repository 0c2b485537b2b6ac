"""Measures forebay, and with --peers what else one could use, on this machine. See README.md for the method.

Usage:

    python bench/run.py                 forebay alone; appends a row to README.md
    python bench/run.py --peers         forebay and all peers side by side, with ratios
    python bench/run.py --only A,B      those, by the names that --list prints
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TypeVar

from harness import load, machine, table
from harness.cache import Cache, Missing
from harness.comparison import PROBE_SIZES, SHAPES, Comparison, say
from harness.forebay import Forebay
from harness.log_peer import LogPeer
from harness.process import Cores
from harness.server import Server
from peers.fastapi_fdatasync.peer import FastapiFdatasync
from peers.fastapi_kafka.peer import FastapiKafka
from peers.kafka_producer.peer import KafkaProducer, KafkaProducerFlushed
from peers.nats_jetstream.peer import NatsJetstream, NatsJetstreamSynced
from peers.python_group_commit.peer import PythonBodyCommit, PythonGroupCommit

PEERS: tuple[Server, ...] = (PythonGroupCommit(), PythonBodyCommit(), FastapiFdatasync(), FastapiKafka())
LOGS: tuple[LogPeer, ...] = (KafkaProducer(), KafkaProducerFlushed(), NatsJetstream(), NatsJetstreamSynced())

Peer = TypeVar("Peer", Server, LogPeer)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="measure all peers beside forebay")
    parser.add_argument("--only", default="", metavar="A,B", help="measure just these, by name")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--rounds", type=int, default=3, help="alternated rounds (3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured time of each run (4)")
    parser.add_argument("--no-append", action="store_true", help="leave README.md as it is")
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> tuple[list[Server], list[LogPeer]]:
    servers: list[Server] = [Forebay()]
    logs: list[LogPeer] = []
    if options.peers or options.only:
        servers += PEERS
        logs += LOGS
    names = {name for name in options.only.split(",") if name}
    unknown = names - {one.name for one in servers} - {one.name for one in logs}
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; --list prints the names")
    if names:
        servers = [one for one in servers if one.name in names]
        logs = [one for one in logs if one.name in names]
    return servers, logs


def prepared(peers: Sequence[Peer], cache: Cache) -> list[Peer]:
    """Those whose tools are on this machine; the others are named."""
    ready = []
    for peer in peers:
        try:
            peer.prepare(cache)
            ready.append(peer)
        except (Missing, RuntimeError) as error:
            say(f"left out: {peer.name}: {error}")
    return ready


def present(comparison: Comparison, servers: Sequence[Server], logs: Sequence[LogPeer], stamp: str, keep: bool) -> None:
    best = {
        name: {shape: table.Best.of(rounds) for shape, rounds in shapes.items()}
        for name, shapes in comparison.closed.items()
    }
    paced = {name: table.Best.of(rounds) for name, rounds in comparison.paced.items()}
    rows = [
        table.server_row(stamp, one, SHAPES, best[one.name], paced.get(one.name)) for one in servers if one.name in best
    ]
    log_rows = [
        table.log_row(stamp, one, table.best_log(comparison.logs[one.name]))
        for one in logs
        if one.name in comparison.logs
    ]
    print("\nevents/s · CPU s per million (settled) · p50 / p99 ms; the last column: at half the rate, open loop\n")
    labels = [shape.label for shape in SHAPES]
    print(table.row(["run", "who", "ack means", *labels, "half rate"]), *rows, sep="\n")
    if log_rows:
        print("\nlogs without HTTP\n")
        heads = ["run", "who", "ack means", "records/s", "server CPU s per million", "p50 / p99 ms"]
        print(table.row(heads), *log_rows, sep="\n")
    if "forebay" in best and len(best) > 1:
        print("\nforebay against each: times the events/s · times less CPU\n")
        for one in servers:
            if one.name in best and one.name != "forebay":
                print(table.row([one.title, *table.ratios(SHAPES, best["forebay"], best[one.name])]))
    if keep:
        table.append(rows, "servers")
        if log_rows:
            table.append(log_rows, "logs")


def disk_lines(comparison: Comparison) -> list[str]:
    lines = []
    for size in PROBE_SIZES:
        of_size = [one for one in comparison.probes if one.size == size]
        p50, p99 = min(one.p50_ms for one in of_size), min(one.p99_ms for one in of_size)
        lines.append(f"write + fdatasync of {size // 1024} KiB: p50 {p50:.2f}, p99 {p99:.2f} ms")
    return lines


def record(comparison: Comparison, cache: Cache, stamp: str) -> None:
    """Every single measurement as JSON, for a look at the spread."""
    place = cache.root / "results"
    place.mkdir(exist_ok=True)
    plain = {
        "run": stamp,
        "closed": {
            name: {shape.label: [dataclasses.asdict(one) for one in rounds] for shape, rounds in shapes.items()}
            for name, shapes in comparison.closed.items()
        },
        "paced": {name: [dataclasses.asdict(one) for one in rounds] for name, rounds in comparison.paced.items()},
        "logs": {name: [dataclasses.asdict(one) for one in rounds] for name, rounds in comparison.logs.items()},
        "disk": [dataclasses.asdict(one) for one in comparison.probes],
    }
    file = place / time.strftime("%Y%m%d-%H%M%S.json")
    file.write_text(json.dumps(plain, indent=1))
    say(f"all rounds are in {file}")


def main() -> int:
    options = arguments()
    if options.list:
        print(Forebay.name, *(one.name for one in PEERS), *(one.name for one in LOGS), sep="\n")
        return 0
    cache = Cache.default()
    servers, logs = chosen(options)
    servers, logs = prepared(servers, cache), prepared(logs, cache)
    if not servers and not logs:
        return 1
    cores = Cores.available()
    binary = load.build()
    os.sched_setaffinity(0, cores.load)
    busy = machine.used_by_others()
    place = f"{machine.summary(cache.data)}; {cores}"
    stamp = f"{machine.today()} {machine.commit()}"
    if busy > machine.BUSY_ABOVE:
        say(f"others use {busy:.0%} of this machine: the figures are not comparable")
        stamp += f" (others used {busy:.0%} of the machine)"
    comparison = Comparison(cache, cores, binary, options.seconds)
    for number in range(options.rounds):
        comparison.round(number, servers, logs)
    record(comparison, cache, stamp)
    print(f"{stamp}\n{place}")
    disk = disk_lines(comparison)
    print(*disk, sep="\n")
    present(comparison, servers, logs, stamp, not options.no_append)
    if not options.no_append:
        table.append([table.row([stamp, place, "; ".join(disk)])], "runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
