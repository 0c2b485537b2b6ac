"""Measures the client: what a call costs, and how many events one process sends.

Usage:

    python bench/client.py [--peers] [--sizes] [--rounds N] [--events N] [--no-append]

Against a forebay server, and against a sink that answers 200 at once, with --peers beside posthog-python and the
OpenTelemetry SDK's batch processor with its OTLP/HTTP exporter, with ratios. See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness import machine, report
from harness.cache import BENCH, Cache
from harness.comparison import say
from harness.forebay import Forebay
from harness.process import Cores, accepts
from harness.runs import ALL, Conditions, Row
from harness.server import fresh

HERE = BENCH / "peers/client_sdks"
#: The sender, with a spool or without.
OWN = (("log", False), ("log_many", False), ("logging", False), ("log", True), ("log_many", True))
SIZES = (("log-batch-100", False), ("log-batch-200", False), ("log-batch-1000", False))
PEERS = ("posthog", "opentelemetry")
#: Peers are slower: fewer events take as long.
PEER_SHARE = 10
RUN_LIMIT_S = 300

#: What is aimed at: a figure of a row, and the most (of time) or the least (of events) that it may be.
AIMS = (
    ("log, to forebay", "call_us", 5.0),
    ("log, spool, to forebay", "call_us", 15.0),
    ("log, to forebay", "events_per_second", 150_000.0),
    ("log_many, to forebay", "events_per_second", 300_000.0),
)
UNITS = {"call_us": "µs of CPU a call", "events_per_second": "events/s", "cpu_s_per_million": "CPU s per million"}
#: Of these figures less is better.
TIMES = ("call_us", "cpu_s_per_million")


@dataclass
class Figures:
    """The best of the rounds for each figure, by what was measured."""

    rows: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def add(self, what: str, found: dict[str, float]) -> None:
        self.rows.setdefault(what, []).append(found)
        missing = f", {found['missing']:.0f} NOT SENT" if found["missing"] else ""
        say(
            f"  {what}: {found['events_per_second']:,.0f}/s, call {found['call_us']:.2f} us of CPU "
            f"({found['call_wall_us']:.2f} us), {found['cpu_s_per_million']:.2f} CPU s/M{missing}"
        )

    def best(self, what: str, figure: str) -> float:
        """Interference only makes figures worse."""
        values = [one[figure] for one in self.rows[what]]
        return min(values) if figure in TIMES else max(values)

    def ratios(self) -> list[str]:
        """How many times cheaper and faster than each peer, all of them posting to the same sink in the same run."""
        lines = []
        for who in ("log", "log_many"):
            for peer in (peer for peer in PEERS if f"{peer}, to the sink" in self.rows):
                mine, theirs = f"{who}, to the sink", f"{peer}, to the sink"
                cells = [self._beside(mine, theirs, figure) for figure in UNITS]
                lines.append(f"{who} beside {peer}: {', '.join(cells)}")
        return lines

    def _beside(self, mine: str, theirs: str, figure: str) -> str:
        better, worse = self.best(mine, figure), self.best(theirs, figure)
        ratio = worse / better if figure in TIMES else better / worse
        return f"{ratio:.1f} times {'less' if figure in TIMES else 'more'} {UNITS[figure]}"

    def aims(self) -> list[str]:
        lines = []
        for what, figure, aim in AIMS:
            found = self.best(what, figure)
            digits = 2 if figure in TIMES else 0
            verdict = "reached" if (found <= aim if figure in TIMES else found >= aim) else "MISSED"
            lines.append(f"{what}: {found:,.{digits}f} {UNITS[figure]}, aimed at {aim:,.0f}: {verdict}")
        return lines

    def bests(self) -> list[Row]:
        names = {"per_second": "events_per_second", "call_us": "call_us", "cpu": "cpu_s_per_million"}
        best = {what: {name: self.best(what, figure) for name, figure in names.items()} for what in self.rows}
        return [Row(what, "", {ALL: figures}) for what, figures in best.items()]


def sent(python: Path, cores: Cores, who: str, port: int, events: int, spool: Path | None = None) -> dict[str, float]:
    """One run in a process of its own, on the load's core."""
    command = [str(python), str(HERE / "send.py"), who, f"http://127.0.0.1:{port}", str(events)]
    result = subprocess.run(
        command + ([str(spool)] if spool else []),
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_LIMIT_S,
        preexec_fn=lambda: os.sched_setaffinity(0, cores.load),
    )
    if result.returncode:
        raise RuntimeError(f"{who} failed: {result.stderr[-2000:]}")
    found = json.loads(result.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def to_forebay(cache: Cache, cores: Cores, events: int, figures: Figures, *, sizes: bool) -> None:
    python = Forebay().command.with_name("python")
    for who, spools in OWN + (SIZES if sizes else ()):
        with Forebay().running(cache, cores) as launch:
            spool = launch.directory / "spool" if spools else None
            found = sent(python, cores, who, launch.port, events, spool)
            figures.add(f"{who}, spool, to forebay" if spools else f"{who}, to forebay", found)


def to_sink(cache: Cache, cores: Cores, events: int, figures: Figures, *, peers: bool) -> None:
    python = Forebay().command.with_name("python")
    other = cache.venv("client-sdks", HERE / "requirements.txt") if peers else python
    with fresh("sink", cache, cores) as launch:
        process = launch.run([str(python), str(HERE / "sink.py"), str(launch.port)])
        process.wait_until(lambda: accepts(launch.port))
        for who in ("log", "log_many", "logging"):
            figures.add(f"{who}, to the sink", sent(python, cores, who, launch.port, events))
        for who in PEERS if peers else ():
            figures.add(f"{who}, to the sink", sent(other, cores, who, launch.port, max(events // PEER_SHARE, 1000)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="posthog-python and OpenTelemetry in the same run")
    parser.add_argument("--sizes", action="store_true", help="other batch sizes too")
    parser.add_argument("--rounds", type=int, default=3, help="alternated rounds (3)")
    parser.add_argument("--events", type=int, default=500_000, help="of each run (500,000)")
    parser.add_argument("--no-append", action="store_true", help="keep nothing in runs/")
    options = parser.parse_args()
    cache, cores, figures = Cache.default(), Cores.available(), Figures()
    Forebay().prepare(cache)
    conditions = Conditions.now(f"{machine.summary(cache.data)}; {cores}")
    began = time.monotonic()
    for number in range(options.rounds):
        say(f"round {number + 1}")
        to_forebay(cache, cores, options.events, figures, sizes=options.sizes)
        to_sink(cache, cores, options.events, figures, peers=options.peers)
    report.present([conditions.run("clients", figures.bests())], keep=not options.no_append)
    print(*figures.ratios(), *figures.aims(), sep="\n")
    say(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
