"""Hysteresis, on a clock of the test's own."""

from forebay.server.health.check_result import Level
from forebay.server.health.hysteresis import Hysteresis

PASS, WARNING, CRITICAL = Level.PASS, Level.WARNING, Level.CRITICAL


def shown(steady: Hysteresis, *measured: tuple[float, Level]) -> list[Level]:
    return [steady.observe(level, now) for now, level in measured]


def test_it_gets_worse_at_once() -> None:
    assert shown(Hysteresis(10), (0, PASS), (1, WARNING), (2, CRITICAL)) == [PASS, WARNING, CRITICAL]


def test_it_gets_better_only_after_it_was_better_for_long_enough() -> None:
    assert shown(Hysteresis(10), (0, CRITICAL), (5, PASS), (14, PASS), (15, PASS)) == [
        CRITICAL,
        CRITICAL,
        CRITICAL,
        PASS,
    ]


def test_a_relapse_begins_the_wait_anew() -> None:
    found = shown(Hysteresis(10), (0, WARNING), (5, PASS), (14, WARNING), (16, PASS), (25, PASS), (26, PASS))
    assert found == [WARNING] * 5 + [PASS]


def test_it_becomes_the_worst_of_what_was_measured_meanwhile() -> None:
    steady = Hysteresis(10)
    assert shown(steady, (0, CRITICAL), (5, PASS), (9, WARNING), (15, PASS)) == [CRITICAL] * 3 + [WARNING]
    assert shown(steady, (16, PASS), (25, PASS), (26, PASS)) == [WARNING, WARNING, PASS]


def test_to_and_fro_is_shown_as_the_worse() -> None:
    steady = Hysteresis(10)
    assert {steady.observe(CRITICAL if second % 2 else PASS, second) for second in range(1, 100)} == {CRITICAL}


def test_without_a_wait_it_is_what_was_measured() -> None:
    assert shown(Hysteresis(0), (0, CRITICAL), (0.1, WARNING), (0.2, PASS)) == [CRITICAL, WARNING, PASS]
