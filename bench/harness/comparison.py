"""Rounds over servers and shapes, alternated, so that a slow minute of the machine meets all of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cache import Cache
from harness.disk import SyncLatency, probe
from harness.load import Measurement, Shape, measure
from harness.log_peer import LogMeasurement, LogPeer
from harness.process import Cores
from harness.server import Server

#: What forebay's speed is stated for. 128 connections show what group commit makes of single events.
SHAPES = (Shape(1, 32), Shape(1, 128), Shape(100, 32), Shape(500, 32))
#: The open loop runs at this share of the rate that the closed loop reached in the same round, at this shape.
PACED = Shape(100, 32)
PACED_SHARE = 0.5
PROBE_SIZES = (4096, 262_144)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass
class Comparison:
    """The figures of all rounds, by name of the server or log."""

    cache: Cache
    cores: Cores
    binary: Path
    seconds: float
    closed: dict[str, dict[Shape, list[Measurement]]] = field(default_factory=dict)
    paced: dict[str, list[Measurement]] = field(default_factory=dict)
    logs: dict[str, list[LogMeasurement]] = field(default_factory=dict)
    probes: list[SyncLatency] = field(default_factory=list)

    def round(self, number: int, servers: Sequence[Server], logs: Sequence[LogPeer]) -> None:
        """One turn of each; each round begins with another one, as the first meets the emptiest disk cache."""
        self.probes += [probe(self.cache.data, size) for size in PROBE_SIZES]
        turns: list[Server | LogPeer] = [*servers, *logs]
        shift = number % len(turns)
        for one in turns[shift:] + turns[:shift]:
            say(f"round {number + 1}: {one.name}")
            try:
                if isinstance(one, Server):
                    self.serve(one)
                else:
                    self.logs.setdefault(one.name, []).append(one.measure(self.cache, self.cores, self.seconds))
            except RuntimeError as error:
                say(f"{one.name} failed in round {number + 1}: {error}")

    def serve(self, server: Server) -> None:
        with server.running(self.cache, self.cores) as launch:
            for shape in SHAPES:
                one = measure(self.binary, launch, server.path, shape, self.seconds, server.warmup_s)
                self.closed.setdefault(server.name, {}).setdefault(shape, []).append(one)
                self.report(shape, one)
                if shape == PACED:
                    rate = one.events_per_second * PACED_SHARE
                    half = Shape(shape.batch, shape.connections, rate)
                    one = measure(self.binary, launch, server.path, half, self.seconds, server.warmup_s)
                    self.paced.setdefault(server.name, []).append(one)
                    self.report(half, one)

    def report(self, shape: Shape, one: Measurement) -> None:
        lag = f", send lag p99 {one.send_lag_p99_ms:.2f} ms" if shape.rate else ""
        lag += f", {one.queued} still queued at the end" if one.queued else ""
        failed = f", {one.failures} FAILED" if one.failures else ""
        say(
            f"  {shape.label}: {one.events_per_second:,.0f} events/s, {one.cpu_s_per_million:.2f} CPU s/M "
            f"({one.settled_cpu_s_per_million:.2f} settled), p50 {one.p50_ms:.2f}, p99 {one.p99_ms:.2f} ms{lag}{failed}"
        )
