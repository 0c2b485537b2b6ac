"""How bench/analytics.py works out the age of views."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def imported(name: str) -> ModuleType:
    """A module of bench/harness, which is no package of the tests."""
    path = Path(__file__).parents[2] / "bench" / "harness" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


subject = imported("ages")


def window(start: str, total: int) -> dict[str, object]:
    return {"windowStart": start, "windowEnd": "", "total": total, "byType": {}}


def test_each_event_is_as_old_as_the_first_answer_that_counts_it() -> None:
    acknowledged = [(10.0, 2), (10.5, 3)]
    answers = [(9.0, 0), (10.25, 1), (11.0, 3), (11.5, 3), (12.0, 5)]
    assert subject.ages(acknowledged, answers) == [0.25, 1.0, 0.5, 1.5, 1.5]


def test_what_was_counted_before_its_acknowledgement_is_not_old() -> None:
    assert subject.ages([(10.0, 1), (11.0, 1)], [(9.5, 2)]) == [0.0, 0.0]


def test_an_answer_that_tells_less_than_one_before_changes_nothing() -> None:
    assert subject.ages([(1.0, 2)], [(2.0, 1), (3.0, 0), (4.0, 2)]) == [1.0, 3.0]


def test_an_event_that_no_answer_counts_has_no_age() -> None:
    with pytest.raises(ValueError, match="the answers count 2 events, not the one after"):
        subject.ages([(1.0, 3)], [(2.0, 2)])
    with pytest.raises(ValueError, match="count 0 events"):
        subject.ages([(1.0, 1)], [])


def test_the_running_total_goes_on_when_the_minute_changes() -> None:
    total = subject.RunningTotal()
    assert total.after([]) == 0
    assert total.after([window("20:00", 70)]) == 70
    # The running minute alone was asked for, and was another one.
    assert total.after([window("20:01", 5)]) == 75
    assert total.after([window("20:01", 8), window("20:00", 90)]) == 98
    assert total.after([window("20:02", 1), window("20:01", 9)]) == 100


def test_the_change_of_the_minute_makes_no_event_older() -> None:
    total = subject.RunningTotal()
    shown = [
        (60.5, [window("20:00", 10)]),
        (61.0, [window("20:01", 3), window("20:00", 12)]),
        (61.5, [window("20:01", 6), window("20:00", 14)]),
    ]
    answers = [(at, total.after(windows)) for at, windows in shown]
    assert subject.ages([(60.0, 15), (60.75, 5)], answers) == [0.5] * 10 + [1.0] * 5 + [0.75] * 5
