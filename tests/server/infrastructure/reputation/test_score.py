"""The formula of docs/infrastructure.md."""

from __future__ import annotations

import pytest

from forebay.server.infrastructure.reputation.score import Volume, score, status


@pytest.mark.parametrize(
    ("lists", "volume", "points"),
    [
        (0, Volume(), 100),
        (1, Volume(), 75),
        (2, Volume(), 50),
        (9, Volume(), 50),
        (0, Volume(1000, 20, 1), 100),
        (0, Volume(1000, 30, 1), 95),
        (0, Volume(1000, 70, 1), 75),
        (0, Volume(1000, 1000, 1), 75),
        (0, Volume(10_000, 0, 15), 95),
        (0, Volume(10_000, 0, 500), 75),
        (0, Volume(99, 99, 99), 100),
        (9, Volume(1000, 1000, 1000), 0),
        (0, Volume(1000, 5000, 0), 75),
    ],
)
def test_the_score(lists: int, volume: Volume, points: int) -> None:
    assert score(["list"] * lists, volume) == points


@pytest.mark.parametrize(
    ("lists", "points", "expected"),
    [
        (0, 100, "good"),
        (0, 80, "good"),
        (0, 79, "warning"),
        (0, 50, "warning"),
        (0, 49, "critical"),
        (1, 92, "critical"),
    ],
)
def test_any_list_is_critical(lists: int, points: int, expected: str) -> None:
    assert status(["list"] * lists, points) == expected


def test_rates_are_of_what_was_sent() -> None:
    assert Volume(50_000, 500, 25).rates() == (1.0, 0.05)
    assert Volume(99, 1, 1).rates() is None
