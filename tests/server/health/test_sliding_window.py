"""Samples over a window."""

from forebay.server.health.sliding_window import SAMPLES, SlidingWindow


def test_the_base_is_the_oldest_until_the_window_is_full() -> None:
    recent: SlidingWindow[int] = SlidingWindow(60)
    assert [recent.add(now, now) for now in (0, 30, 59)] == [(0, 0)] * 3


def test_the_base_moves_on_with_the_window_and_is_at_least_as_old() -> None:
    recent: SlidingWindow[int] = SlidingWindow(60)
    for now in range(1000):
        since, value = recent.add(now, now)
        assert since == value
        if now > 65:
            assert 60 <= now - since <= 60 + 60 / SAMPLES


def test_few_samples_are_kept_however_often_one_is_added() -> None:
    recent: SlidingWindow[int] = SlidingWindow(12)
    for step in range(10_000):
        recent.add(step, step / 100)
    assert len(recent._samples) <= SAMPLES + 2


def test_a_gap_leaves_what_was_before_it() -> None:
    recent: SlidingWindow[int] = SlidingWindow(60)
    recent.add(1, 0)
    assert recent.add(2, 500) == (0, 1)


def test_after_clearing_it_begins_anew() -> None:
    recent: SlidingWindow[int] = SlidingWindow(60)
    recent.add(1, 0)
    recent.clear()
    assert recent.add(5, 10) == (10, 5)
