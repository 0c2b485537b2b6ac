"""The result tables: on standard output, and as rows appended to bench/README.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cache import BENCH
from harness.load import Measurement, Shape
from harness.log_peer import LogMeasurement, LogPeer
from harness.server import Server

README = BENCH / "README.md"


@dataclass(frozen=True)
class Best:
    """Of each figure the best of the rounds: interference only ever makes a figure worse."""

    events_per_second: float
    p50_ms: float
    p99_ms: float
    cpu: float
    settled_cpu: float
    failures: int

    @staticmethod
    def of(rounds: Sequence[Measurement]) -> Best:
        return Best(
            events_per_second=max(one.events_per_second for one in rounds),
            p50_ms=min(one.p50_ms for one in rounds),
            p99_ms=min(one.p99_ms for one in rounds),
            cpu=min(one.cpu_s_per_million for one in rounds),
            settled_cpu=min(one.settled_cpu_s_per_million for one in rounds),
            failures=max(one.failures for one in rounds),
        )

    def cell(self) -> str:
        failed = f" ({self.failures} failed)" if self.failures else ""
        return (
            f"{self.events_per_second:,.0f} · {figure(self.cpu)} ({figure(self.settled_cpu)}) · "
            f"{figure(self.p50_ms)} / {figure(self.p99_ms)}{failed}"
        )


def figure(value: float) -> str:
    """Three significant digits, as many as these figures carry."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def best_log(rounds: Sequence[LogMeasurement]) -> LogMeasurement:
    return LogMeasurement(
        records_per_second=max(one.records_per_second for one in rounds),
        p50_ms=min(one.p50_ms for one in rounds),
        p99_ms=min(one.p99_ms for one in rounds),
        cpu_s_per_million=min(one.cpu_s_per_million for one in rounds),
    )


def server_row(stamp: str, server: Server, shapes: Sequence[Shape], best: dict[Shape, Best], paced: Best | None) -> str:
    cells = [best[shape].cell() if shape in best else "failed" for shape in shapes]
    half = (
        "-" if paced is None else (f"{paced.events_per_second:,.0f} · {figure(paced.p50_ms)} / {figure(paced.p99_ms)}")
    )
    return row([stamp, server.title, server.ack, *cells, half])


def log_row(stamp: str, peer: LogPeer, best: LogMeasurement) -> str:
    rate = f"{best.records_per_second:,.0f}"
    latency = f"{figure(best.p50_ms)} / {figure(best.p99_ms)}"
    return row([stamp, peer.title, peer.ack, rate, figure(best.cpu_s_per_million), latency])


def ratios(shapes: Sequence[Shape], forebay: dict[Shape, Best], peer: dict[Shape, Best]) -> list[str]:
    """How many times forebay's events/s and how many times less CPU, shape by shape."""
    cells = []
    for shape in shapes:
        if shape not in forebay or shape not in peer:
            cells.append("-")
            continue
        mine, theirs = forebay[shape], peer[shape]
        cells.append(f"{mine.events_per_second / theirs.events_per_second:.1f} · {theirs.cpu / mine.cpu:.1f}")
    return cells


def row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def append(rows: Sequence[str], table: str, readme: Path = README) -> None:
    """Adds rows at the end of the table that the comment ``<!-- end of TABLE -->`` follows."""
    mark = f"<!-- end of {table} -->"
    text = readme.read_text()
    if mark not in text:
        raise ValueError(f"{readme.name} has no line {mark!r} to append before")
    before, after = text.split(mark, 1)
    readme.write_text(before.rstrip("\n") + "\n" + "".join(f"{one}\n" for one in rows) + "\n" + mark + after)
