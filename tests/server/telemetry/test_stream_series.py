"""The series of streams."""

from types import SimpleNamespace

import pytest

from forebay.server.telemetry import OTHERS, StreamCollector, streams


def stream(number: int, start: int, end: int) -> SimpleNamespace:
    return SimpleNamespace(
        name=f"s{number}", id=number, partitions=[(start, end), (0, 1)], stored_bytes=10 * number, ring_bytes=1
    )


def rows(*found: SimpleNamespace) -> dict[str, dict[str, float]]:
    engine = SimpleNamespace(streams=lambda: list(found))
    collected = StreamCollector(engine).collect()  # type: ignore[arg-type]
    return {family.name: {s.labels["stream"]: s.value for s in family.samples} for family in collected}


def test_what_is_kept_and_what_was_ever_appended() -> None:
    assert rows(stream(1, 40, 100)) == {
        "forebay_stream_records": {"s1": 61},
        "forebay_stream_stored_bytes": {"s1": 10},
        "forebay_stream_ring_bytes": {"s1": 1},
        "forebay_stream_appended_records": {"s1": 101},
    }


def test_the_oldest_keep_their_series_and_the_others_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_STREAM_LABELS", 2)
    shown = rows(*(stream(number, 0, number) for number in (5, 4, 3, 2, 1)))
    assert shown["forebay_stream_records"] == {"s1": 2, "s2": 3, OTHERS: 4 + 5 + 6}
    assert shown["forebay_stream_stored_bytes"] == {"s1": 10, "s2": 20, OTHERS: 120}
    # The sum of counters would fall when a stream is deleted, which reads as a restart.
    assert shown["forebay_stream_appended_records"] == {"s1": 2, "s2": 3}
