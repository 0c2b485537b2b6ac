"""The table of `search.py`: a row for each question, a column for each engine."""

from __future__ import annotations

from collections.abc import Sequence

from harness.questions import QUESTIONS
from harness.runs import Figures, Row, Run
from harness.table import figure, row

LOAD, MEMORY = "load", "memory"
ENGINES = ("forebay", "chDB, token bloom", "chDB, text index", "ripgrep")
"""The columns, as README.md has them; VictoriaLogs' is the last one."""

LOAD_ROW, DISK_ROW, MEMORY_ROW = "load, CPU s/M", "bytes an event on disk", "resident MB while asked (at rest)"

PUBLISHED = dict(
    zip(
        (*QUESTIONS, LOAD_ROW, DISK_ROW, MEMORY_ROW),
        (
            *("8.1", "4.3", "251", "265", "514", "514", "5.3", "4,939", "385"),
            *("41", "0.7", "223", "32", "82", "496"),
            *("6.74", "37.8", "163"),
        ),
        strict=True,
    )
)
"""Of VictoriaLogs v1.26.0, CPU ms: measured once, on another machine, over 5,000,000 events of this shape."""


def searched(run: Run | None) -> str:
    """The rows below the head; the figures of one run alone are compared."""
    if run is None:
        return row(["not measured yet"])
    by_name = {one.who: one for one in run.rows}
    engines = [by_name.get(name) for name in ENGINES]
    parts = [*QUESTIONS, LOAD_ROW, DISK_ROW, MEMORY_ROW]
    return "\n".join(row([part, *(cell(one, part) for one in engines), PUBLISHED[part]]) for part in parts)


def cell(one: Row | None, part: str) -> str:
    if one is None:
        return "-"
    load, memory = one.figures.get(LOAD, {}), one.figures.get(MEMORY, {})
    if part == LOAD_ROW:
        return figure(load["cpu"]) if "cpu" in load else "-"
    if part == DISK_ROW:
        return figure(load["bytes_event"]) if "bytes_event" in load else "-"
    if part == MEMORY_ROW:
        return f"{memory['rss_mb']:.0f} ({memory['before_mb']:.0f})" if memory else "-"
    return question(one.figures.get(part))


def question(figures: Figures | None) -> str:
    """CPU and wall clock, both in ms."""
    return f"{milliseconds(figures['cpu_ms'])} · {milliseconds(figures['wall_ms'])}" if figures else "-"


def milliseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else figure(value)


def newest(runs: Sequence[Run]) -> Run | None:
    """The newest run, one from a machine that others used only where there is no other."""
    own = [run for run in runs if run.table == "search"]
    return next((run for run in own if run.quiet), own[0] if own else None)
