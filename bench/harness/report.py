"""bench/README.md's tables and history.svg, made of the runs in bench/runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness import search_table
from harness.cache import BENCH
from harness.chart import chart
from harness.comparison import say
from harness.runs import ALL, RUNS, Figures, Row, Run, load_all
from harness.table import figure, row

README = BENCH / "README.md"
HISTORY = BENCH / "history.svg"

SINGLE = {
    "logs": ("per_second", "cpu", "latency"),
    "streams": ("per_second", "cpu", "latency"),
    "clients": ("per_second", "call_us", "cpu"),
    "processors": ("per_second", "cpu", "memory", "latency"),
    "analytics": ("per_second", "cpu_settled", "latency"),
}
"""The figures of the tables whose rows have one shape each."""

TABLES = ("servers", "logs", "streams", "events", "clients", "processors", "analytics", "search")


def cell(figures: Figures | None) -> str:
    """All figures of one shape of load."""
    if figures is None:
        return "-"
    cpu = f"{cpu_settled(figures)} · " if "cpu" in figures else ""
    failed = f" ({figures['failures']:.0f} failed)" if figures.get("failures") else ""
    return f"{figures['per_second']:,.0f} · {cpu}{latency(figures)}{failed}"


def cpu_settled(figures: Figures) -> str:
    return f"{figure(figures['cpu'])} ({figure(figures['settled_cpu'])})" if "cpu" in figures else "-"


def latency(figures: Figures) -> str:
    """Median, 99th percentile and, where it was kept, the most."""
    return " / ".join(figure(figures[name]) for name in ("p50_ms", "p99_ms", "max_ms") if name in figures) or "-"


SHOWN: dict[str, Callable[[Figures], str]] = {
    "per_second": lambda figures: f"{figures['per_second']:,.0f}" if "per_second" in figures else "-",
    "cpu": lambda figures: figure(figures["cpu"]) if "cpu" in figures else "-",
    "cpu_settled": cpu_settled,
    "call_us": lambda figures: figure(figures["call_us"]),
    "memory": lambda figures: "{rss_mb:.0f} ({before_mb:.0f})".format_map(figures),
    "latency": latency,
}


def row_of(table: str, run: str, one: Row, columns: Sequence[str]) -> str:
    """One row as README.md and the standard output show it."""
    shown = [SHOWN[name](one.figures[ALL]) for name in SINGLE[table]] if table in SINGLE else []
    shapes = [cell(one.figures.get(column)) for column in columns] if table not in SINGLE else []
    who = f"**{one.who}**" if one.who == "forebay" else one.who
    return row([run, who, *([one.ack] if one.ack else []), *shown, *shapes])


def newest(runs: Sequence[Run], table: str) -> Iterator[tuple[Run, Row]]:
    """The newest row of everybody, of `runs` in their order; one from a machine that others used only where there is no
    other."""
    own = [run for run in runs if run.table == table]
    seen: set[str] = set()
    for run in [*(run for run in own if run.quiet), *(run for run in own if not run.quiet)]:
        yield from ((run, one) for one in run.rows if one.who not in seen)
        seen.update(one.who for one in run.rows)


def ratios(runs: Sequence[Run], table: str, columns: Sequence[str]) -> Iterator[str]:
    """How many times forebay's events/s, and how many times less CPU, beside each other one: of the newest run that has
    it, since only what was measured in one run can be compared."""
    compared: set[str] = set()
    for run in runs:
        by_name = {one.who: one for one in run.rows} if run.table == table else {}
        mine = by_name.pop("forebay", None)
        for who, other in by_name.items():
            if mine is not None and who not in compared:
                compared.add(who)
                cells = (ratio(mine, other, column) for column in columns)
                yield row([run.name, f"forebay beside {who}", "", *cells])


def ratio(mine: Row, other: Row, column: str) -> str:
    ours, theirs = mine.figures.get(column, {}), other.figures.get(column, {})
    if "cpu" not in ours or "cpu" not in theirs:
        return ""
    return f"{ours['per_second'] / theirs['per_second']:.1f} times · {theirs['cpu'] / ours['cpu']:.1f} times less"


def columns_of(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(column for one in rows for column in one.figures))


def table_text(runs: Sequence[Run], table: str) -> str:
    """The rows of one table of README.md, below its head."""
    if table == "search":
        return search_table.searched(search_table.newest(runs))
    found = list(newest(runs, table))
    columns = columns_of([one for _, one in found])
    lines = [row_of(table, run.name, one, columns) for run, one in found] or [row(["-", "not measured yet"])]
    return "\n".join(lines if table in SINGLE else [*lines, *ratios(runs, table, columns)])


def runs_text(runs: Sequence[Run]) -> str:
    """The list of all runs."""
    return "\n".join(
        row(
            [
                f"[{run.name}](runs/{run.file_name})",
                run.table,
                run.place or "-",
                "; ".join(f"{one.size // 1024} KiB: {figure(one.p50_ms)} / {figure(one.p99_ms)}" for one in run.disk)
                or "-",
            ]
        )
        for run in runs
    )


def readme(text: str, runs: Sequence[Run]) -> str:
    """`text` with its tables made anew: each stands between a head and the comment `<!-- end of TABLE -->`.

    Raises:
        ValueError: a table's place is not there.
    """
    parts = {table: table_text(runs, table) for table in TABLES} | {"runs": runs_text(runs)}
    for name, rows in parts.items():
        place = re.compile(rf"(\|[-|]+\|\n)(?:\|.*\n)*\n(<!-- end of {name} -->)")
        if not place.search(text):
            raise ValueError(f"there is no table before <!-- end of {name} -->")
        text = place.sub(lambda found, rows=rows: f"{found[1]}{rows}\n\n{found[2]}", text)
    return text


def files(directory: Path = RUNS) -> dict[Path, str]:
    """Returns the texts of the files that are made of the runs."""
    runs = load_all(directory)
    return {README: readme(README.read_text(), runs), HISTORY: chart(runs[::-1])}


def present(runs: Sequence[Run], *, keep: bool) -> None:
    """Prints the table of each run; with `keep` the runs stay, and README.md and history.svg are made anew."""
    for run in runs:
        print(f"\n{run.table}\n\n{table_text([run], run.table)}")
        if keep:
            say(f"kept in {run.save()}")
    if keep:
        write()


def write() -> None:
    for path, text in files().items():
        path.write_text(text)
