"""The history as a picture: forebay and the group commit in Python, run after run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from harness.runs import Run

SHAPE = "batch 100, 32 conn."
SERIES = (("forebay", "#0b6bcb"), ("Granian + msgspec, group commit in Python", "#8a8f98"))
WIDTH, HEIGHT = 860, 320
LEFT, TOP, BOTTOM, GAP = 56, 54, 52, 60
PANEL = (WIDTH - 2 * LEFT - GAP + 24) / 2
LINES = 4
"""Horizontal lines of a panel above its base."""


class Panel(NamedTuple):
    title: str
    metric: str
    label: Callable[[float], str]


PANELS = (
    Panel("events/s", "per_second", lambda value: f"{value / 1e6:.1f} M" if value else "0"),
    Panel("CPU seconds per million events", "cpu", lambda value: f"{value:.1f}"),
)


def text(x: float, y: float, words: str, *, anchor: str = "middle", size: int = 11, color: str = "#444") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" fill="{color}">{words}</text>'


def values(runs: Sequence[Run], who: str, metric: str) -> list[float | None]:
    """One for each run; None where it was not measured."""
    by_name = [{row.who: row.figures for row in run.rows} for run in runs]
    return [rows.get(who, {}).get(SHAPE, {}).get(metric) for rows in by_name]


def step_for(highest: float) -> float:
    """The distance of the lines: 1, 2 or 5 times a power of ten, so that `LINES` of them reach the highest value."""
    power = 1.0
    while power * 10 <= highest / LINES:
        power *= 10
    while power > highest / LINES:
        power /= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power * LINES >= highest)


def panel(one: Panel, left: float, runs: Sequence[Run]) -> list[str]:
    series = [(color, values(runs, who, one.metric)) for who, color in SERIES]
    highest = max((value for _, found in series for value in found if value is not None), default=1.0)
    step, base = step_for(highest), HEIGHT - BOTTOM
    high = base - TOP
    parts = [text(left, TOP - 14, one.title, anchor="start", size=13, color="#111")]
    for line in range(LINES + 1):
        y = base - high * line / LINES
        parts.append(f'<path d="M{left:.0f} {y:.1f}H{left + PANEL:.0f}" stroke="#ddd"/>')
        parts.append(text(left - 6, y + 4, one.label(step * line), anchor="end"))
    places = [left + PANEL * (number + 0.5) / len(runs) for number in range(len(runs))]
    for run, x in zip(runs, places, strict=True):
        parts += [text(x, base + 16, run.commit), text(x, base + 30, run.at[:10], size=9)]
    for color, found in series:
        known = [(x, value) for x, value in zip(places, found, strict=True) if value is not None]
        points = [(x, base - high * value / (step * LINES)) for x, value in known]
        path = " L".join(f"{x:.0f} {y:.1f}" for x, y in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.0f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in points]
    return parts


def chart(runs: Sequence[Run]) -> str:
    """An SVG of the servers' `runs`, in their order."""
    shown = [run for run in runs if run.table == "servers" and run.quiet]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for number, (who, color) in enumerate(SERIES):
        x = LEFT + 110 * number
        parts.append(f'<rect x="{x}" y="10" width="10" height="10" fill="{color}"/>')
        parts.append(text(x + 16, 19, who, anchor="start", color="#111"))
    for number, one in enumerate(PANELS):
        parts += panel(one, LEFT + (PANEL + GAP) * number, shown)
    return "\n".join([*parts, "</svg>"]) + "\n"
