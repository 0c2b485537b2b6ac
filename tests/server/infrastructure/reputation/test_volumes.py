"""What was sent, counted by a processor in a real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import forebay
from forebay._forebay import Engine
from forebay.errors import StreamNotFound
from forebay.server.infrastructure.reputation.score import Volume
from forebay.server.infrastructure.reputation.settings import ReputationSettings
from forebay.server.infrastructure.reputation.volumes import DAY_MS, NAME, WINDOW_MS, Volumes
from support.harness import wait_for

ONE, TWO = "203.0.113.12", "203.0.113.13"
SETTINGS = ReputationSettings(stream="mails")
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[forebay.Log]:
    with forebay.open(tmp_path / "data") as opened:
        yield opened


def engine_of(log: forebay.Log) -> Engine:
    return log._engine


def volumes(log: forebay.Log, settings: ReputationSettings = SETTINGS, now: datetime = NOW) -> Volumes:
    return Volumes(engine_of(log), settings, [ONE, TWO], wall=now.timestamp)


def mails(log: forebay.Log, *rows: tuple[timedelta, dict[str, Any]]) -> None:
    """Appends records that are so old, and one that ends every window with it."""
    records = [forebay.Record(value, timestamp=NOW - age) for age, value in rows]
    end = forebay.Record({"ip_address": "0.0.0.0"}, timestamp=NOW + timedelta(milliseconds=3 * WINDOW_MS))
    log.append("mails", [*records, end])


def settled(counted: Volumes, address: str, sent: float) -> Volume:
    def is_there() -> bool:
        counted.step()
        return counted.of(address).sent == sent

    wait_for(f"{sent} messages of {address}", is_there)
    return counted.of(address)


def test_sums_by_address(log: forebay.Log) -> None:
    log.create_stream("mails")
    mails(
        log,
        (timedelta(hours=3), {"ip_address": ONE, "sent": 1000, "bounces": 10}),
        (timedelta(hours=2), {"ip_address": ONE, "sent": 500, "complaints": 2}),
        (timedelta(hours=1), {"ip_address": TWO, "sent": 7, "bounces": "many"}),
        (timedelta(hours=1), {"ip_address": "198.51.100.1", "sent": 99}),
        (timedelta(hours=1), {"sent": 99}),
    )
    counted = volumes(log)
    assert settled(counted, ONE, 1500) == Volume(1500, 10, 2)
    assert settled(counted, TWO, 7) == Volume(7, 0, 0)
    assert counted.problem is None
    # Another process begins with what is stored, and counts nothing twice.
    assert settled(volumes(log), ONE, 1500) == Volume(1500, 10, 2)


def test_what_is_older_than_a_day_goes(log: forebay.Log) -> None:
    log.create_stream("mails")
    mails(
        log,
        (timedelta(hours=23), {"ip_address": ONE, "sent": 10}),
        (timedelta(hours=1), {"ip_address": ONE, "sent": 1}),
    )
    clock = [NOW.timestamp()]
    counted = Volumes(engine_of(log), SETTINGS, [ONE], wall=lambda: clock[0])
    settled(counted, ONE, 11)
    clock[0] += 2 * 3600
    counted.step()
    assert counted.of(ONE).sent == 1
    clock[0] += DAY_MS / 1000
    counted.step()
    assert counted.of(ONE) == Volume()


def test_other_fields_replace_the_processor(log: forebay.Log) -> None:
    log.create_stream("mails")
    row = {"event": {"ip": ONE, "count": 3}, "ip_address": ONE, "sent": 1}
    mails(log, (timedelta(hours=1), row))
    settled(volumes(log), ONE, 1)
    other = ReputationSettings(stream="mails", address_field="event.ip", volume_field="event.count")
    counted = volumes(log, other)
    counted.step()
    described = json.loads(engine_of(log).processor(NAME))
    assert described["operations"][1]["groupBy"] in ("event.ip", ["event.ip"])
    mails(log, (-timedelta(hours=1), row))
    settled(counted, ONE, 3)


def test_a_stream_that_is_missing_is_an_error_until_it_is_there(log: forebay.Log) -> None:
    counted = volumes(log)
    with pytest.raises(StreamNotFound, match="mails"):
        counted.step()
    log.create_stream("mails")
    counted.step()
    assert counted.problem is None


def test_a_processor_that_stands_still_is_named(log: forebay.Log) -> None:
    log.create_stream("mails")
    counted = volumes(log)
    counted.step()
    engine_of(log).pause_processor(NAME)
    counted.step()
    assert counted.problem == "the processor ip-reputation is paused"
