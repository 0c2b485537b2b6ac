"""Moments: one rule for what has no zone, and what is none."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from forebay.client.clock import RECENT_NS, Clock, local_or_utc, millis, rfc3339
from forebay.client.encoding import Encoder

ENCODER = Encoder("p", "s")


@pytest.fixture(autouse=True)
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """UTC-4 in summer."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


def everywhere(timestamp: Any) -> set[str]:
    """Returns the timestamps that a time becomes, in each way in which an event is handed over."""
    texts = [
        ENCODER.log("m", timestamp=timestamp)[1],
        ENCODER.row({"message": "m", "timestamp": timestamp}),
        ENCODER.track("view", timestamp=timestamp)[1],
    ]
    event = json.loads(ENCODER.event("view", "app", {}, timestamp=timestamp)[1])["timestamp"]
    return {json.loads(text)["timestamp"] for text in texts} | {rfc3339(event / 1000), rfc3339(timestamp)}


@pytest.mark.parametrize(
    "timestamp",
    [
        datetime(2024, 5, 31, 11, 30, 45),  # noqa: DTZ001
        datetime(2024, 5, 31, 15, 30, 45, tzinfo=UTC),
        "2024-05-31T11:30:45",
        "2024-05-31 11:30:45.000",
        "20240531T113045",
        1717169445,
        1717169445.0,
    ],
)
def test_without_a_zone_it_is_local_time_everywhere(timestamp: Any) -> None:
    assert everywhere(timestamp) == {"2024-05-31T15:30:45.000000Z"}


@pytest.mark.parametrize("text", ["2024-05-31T15:30:45Z", "2024-05-31 17:30:45,1234567+02", "2024-05-31T15:30:60Z"])
def test_a_text_with_a_zone_goes_as_it_is(text: str) -> None:
    assert rfc3339(text) == text


@pytest.mark.parametrize("text", ["yesterday", "", "15:30:45", "2024-05-31 15:30.45", "2024-02-30"])
def test_a_text_that_is_no_moment_is_the_server_s_to_refuse(text: str) -> None:
    assert rfc3339(text) == text
    with pytest.raises(ValueError, match="^timestamp is .*(give ISO 8601, as |a fraction without)"):
        millis(text)


@pytest.mark.parametrize("wrong", [float("inf"), float("-inf"), float("nan"), 1e20, -1e20, 10**400])
def test_a_number_that_is_no_moment_raises_value_error(wrong: float) -> None:
    for call in (rfc3339, millis, lambda given: ENCODER.log("m", timestamp=given)):
        with pytest.raises(ValueError, match="^timestamp is .*no moment .*give ISO 8601, as "):
            call(wrong)


@pytest.mark.parametrize("wrong", [True, object(), b"2024-05-31", []])
def test_what_is_nothing_of_the_kind_raises_type_error(wrong: Any) -> None:
    for call in (rfc3339, millis):
        with pytest.raises(TypeError, match=f"^timestamp is of type {type(wrong).__name__}; give ISO 8601, as "):
            call(wrong)


def test_milliseconds_are_not_cut_off_by_a_float() -> None:
    assert all(millis(1_717_169_445 + thousandth / 1000) % 1000 == thousandth for thousandth in range(1000))


def test_what_was_made_now_in_utc_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2024, 5, 31, 15, 30, 45, tzinfo=UTC)
    monkeypatch.setattr(time, "time", now.timestamp)
    for made in ("2024-05-31 15:30:45", "2024-05-31 15:30", "2024-05-31 11:30:45", now, now.replace(tzinfo=None)):
        assert abs(local_or_utc(made) - now).total_seconds() < 60, made
    assert local_or_utc("2024-05-31 15:00:00").hour == 19


def test_a_recent_moment_is_less_than_a_millisecond_old(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [0]
    monkeypatch.setattr(time, "monotonic_ns", lambda: ticks[0])
    monkeypatch.setattr(time, "time_ns", lambda: ticks[0])
    clock = Clock()
    told = []
    for ticks[0] in (1000, RECENT_NS, RECENT_NS + 1000, 5 * RECENT_NS):
        told.append(clock.recently()[-7:])
    assert told == ["000001Z", "000001Z", "001001Z", "005000Z"]
