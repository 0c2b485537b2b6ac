"""Measures single events over HTTP, beside FastAPI that validates the same events and stores nothing.

Usage:

    python bench/events.py [--rounds N] [--seconds S] [--no-append]

See README.md for the method.
"""

from __future__ import annotations

import argparse
import os
import sys

from harness import load, machine, report, table
from harness.cache import Cache
from harness.comparison import say
from harness.forebay import Forebay
from harness.load import Measurement, Shape
from harness.process import Cores
from harness.runs import Conditions, Row
from harness.server import Server
from peers.fastapi_validate.peer import FastapiValidate

SHAPES = (Shape(1, 128, content="event"), Shape(1, 32, content="event"))
#: The open loop runs at this share of the rate that the closed loop reached in the same round, at the first shape.
PACED_SHARE = 0.5
HALF_RATE = "half rate, 128 conn., open loop"

Figures = dict[Shape, list[Measurement]]


class ForebayEvents(Forebay):
    path = "/api/events"


def round_of(server: Server, cache: Cache, cores: Cores, seconds: float, figures: Figures, paced: Figures) -> None:
    binary = load.build()
    with server.running(cache, cores) as launch:
        for shape in SHAPES:
            one = load.measure(binary, launch, server.path, shape, seconds, server.warmup_s)
            figures.setdefault(shape, []).append(one)
            show(server, shape, one)
        first = SHAPES[0]
        half = Shape(first.batch, first.connections, figures[first][-1].events_per_second * PACED_SHARE, first.content)
        one = load.measure(binary, launch, server.path, half, seconds, server.warmup_s)
        paced.setdefault(first, []).append(one)
        show(server, half, one)


def show(server: Server, shape: Shape, one: Measurement) -> None:
    failed = f", {one.failures} FAILED" if one.failures else ""
    say(
        f"  {server.name}, {shape.label}: {one.events_per_second:,.0f}/s, {one.cpu_s_per_million:.1f} CPU s/M "
        f"({one.settled_cpu_s_per_million:.1f} settled), p50 {one.p50_ms:.2f}, p99 {one.p99_ms:.2f} ms{failed}"
    )


def row_of(server: Server, closed: Figures, paced: Figures) -> Row:
    figures = {shape.label: table.Best.of(rounds).figures() for shape, rounds in closed.items()}
    return Row(server.title, server.ack, figures | {HALF_RATE: table.Best.of(paced[SHAPES[0]]).paced()})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="alternated rounds (3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured time of each run (4)")
    parser.add_argument("--no-append", action="store_true", help="keep nothing in runs/")
    options = parser.parse_args()
    cache, cores = Cache.default(), Cores.available()
    servers: list[Server] = [ForebayEvents(), FastapiValidate()]
    for server in servers:
        server.prepare(cache)
    load.build()
    os.sched_setaffinity(0, cores.load)
    conditions = Conditions.now(f"{machine.summary(cache.data)}; {cores}")
    closed: dict[str, Figures] = {server.name: {} for server in servers}
    paced: dict[str, Figures] = {server.name: {} for server in servers}
    for number in range(options.rounds):
        say(f"round {number + 1}")
        for server in servers if number % 2 == 0 else servers[::-1]:
            round_of(server, cache, cores, options.seconds, closed[server.name], paced[server.name])
    rows = [row_of(server, closed[server.name], paced[server.name]) for server in servers]
    report.present([conditions.run("events", rows)], keep=not options.no_append)
    return 0


if __name__ == "__main__":
    sys.exit(main())
