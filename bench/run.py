"""Measures forebay, and with --peers what else one could use, on this machine. See README.md for the method.

Usage:

    python bench/run.py                 forebay alone; keeps the run in runs/, and makes README.md anew
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

from harness import load, machine, report, table
from harness.cache import Cache, Missing
from harness.comparison import PROBE_SIZES, SHAPES, Comparison, say
from harness.disk import SyncLatency
from harness.forebay import Forebay
from harness.log_peer import LogPeer
from harness.process import Cores
from harness.runs import ALL, Conditions, Row
from harness.server import Server
from peers.fastapi_fdatasync.peer import FastapiFdatasync
from peers.fastapi_kafka.peer import FastapiKafka
from peers.kafka_producer.peer import KafkaProducer, KafkaProducerFlushed
from peers.nats_jetstream.peer import NatsJetstream, NatsJetstreamSynced
from peers.python_group_commit.peer import PythonBodyCommit, PythonGroupCommit

PEERS: tuple[Server, ...] = (PythonGroupCommit(), PythonBodyCommit(), FastapiFdatasync(), FastapiKafka())
LOGS: tuple[LogPeer, ...] = (KafkaProducer(), KafkaProducerFlushed(), NatsJetstream(), NatsJetstreamSynced())

Peer = TypeVar("Peer", Server, LogPeer)

#: The column of the open loop.
HALF_RATE = "half rate, batch 100, open loop"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="measure all peers beside forebay")
    parser.add_argument("--only", default="", metavar="A,B", help="measure just these, by name")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--rounds", type=int, default=3, help="alternated rounds (3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured time of each run (4)")
    parser.add_argument("--no-append", action="store_true", help="keep nothing in runs/")
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


def server_rows(comparison: Comparison, servers: Sequence[Server]) -> list[Row]:
    rows = []
    for one in servers:
        closed = comparison.closed.get(one.name, {})
        figures = {shape.label: table.Best.of(closed[shape]).figures() for shape in SHAPES if shape in closed}
        if one.name in comparison.paced:
            figures[HALF_RATE] = table.Best.of(comparison.paced[one.name]).paced()
        if figures:
            rows.append(Row(one.title, one.ack, figures))
    return rows


def log_rows(comparison: Comparison, logs: Sequence[LogPeer]) -> list[Row]:
    rows = []
    for one in logs:
        if one.name in comparison.logs:
            best = table.best_log(comparison.logs[one.name])
            latency = {"p50_ms": best.p50_ms, "p99_ms": best.p99_ms}
            figures = {"per_second": best.records_per_second, "cpu": best.cpu_s_per_million} | latency
            rows.append(Row(one.title, one.ack, {ALL: figures}))
    return rows


def best_probes(comparison: Comparison) -> list[SyncLatency]:
    by_size = [[one for one in comparison.probes if one.size == size] for size in PROBE_SIZES]
    return [
        SyncLatency(of_size[0].size, min(one.p50_ms for one in of_size), min(one.p99_ms for one in of_size))
        for of_size in by_size
    ]


def record(comparison: Comparison, cache: Cache, commit: str) -> None:
    """Every single measurement as JSON, for a look at the spread."""
    place = cache.root / "results"
    place.mkdir(exist_ok=True)
    plain = {
        "run": commit,
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
    conditions = Conditions.now(f"{machine.summary(cache.data)}; {cores}")
    if conditions.busy > machine.BUSY_ABOVE:
        say(f"others use {conditions.busy:.0%} of this machine: the figures are not comparable")
    comparison = Comparison(cache, cores, binary, options.seconds)
    for number in range(options.rounds):
        comparison.round(number, servers, logs)
    record(comparison, cache, conditions.commit)
    print(f"{conditions.at} {conditions.commit}\n{conditions.place}")
    for one in best_probes(comparison):
        print(f"write + fdatasync of {one.size // 1024} KiB: p50 {one.p50_ms:.2f}, p99 {one.p99_ms:.2f} ms")
    kinds = {"servers": server_rows(comparison, servers), "logs": log_rows(comparison, logs)}
    runs = [conditions.run(kind, rows, best_probes(comparison)) for kind, rows in kinds.items() if rows]
    report.present(runs, keep=not options.no_append)
    return 0


if __name__ == "__main__":
    sys.exit(main())
