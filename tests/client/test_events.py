"""Events that applications hand over become JSON."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.client.clock import Clock, millis, rfc3339
from forebay.client.encoding import Encoder, Publication
from forebay.client.value import MAX_DEPTH

ENCODER = Encoder("p", "s")


def logged(message: Any = "m", timestamp: Any = None, metadata: Any = None) -> dict[str, Any]:
    found = json.loads(ENCODER.log(message, timestamp=timestamp, metadata=metadata)[1])
    assert isinstance(found, dict)
    return found


def test_defaults_and_what_overrides_them() -> None:
    found = logged()
    assert list(found) == ["project_id", "timestamp", "level", "service", "message"]
    assert abs(datetime.fromisoformat(found["timestamp"]).timestamp() - time.time()) < 5
    assert json.loads(ENCODER.log("m", "warn", project_id="q", timestamp="2024-01-01")[1])["project_id"] == "q"
    assert logged(404)["message"] == "404"


def test_times() -> None:
    moment = datetime(2024, 5, 31, 17, 30, 45, 123456, timezone(timedelta(hours=2)))
    assert rfc3339(moment) == rfc3339(moment.timestamp()) == "2024-05-31T15:30:45.123456Z"
    assert rfc3339(moment.astimezone().replace(tzinfo=None)) == "2024-05-31T15:30:45.123456Z"
    for found in (moment, moment.timestamp()):
        assert logged(timestamp=found)["timestamp"] == "2024-05-31T15:30:45.123456Z"
    assert logged(timestamp=-0.5)["timestamp"] == "1969-12-31T23:59:59.500000Z"
    assert millis(moment) == millis(moment.isoformat()) == int(moment.timestamp() * 1000)


def test_a_clock_that_jumps_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    told = []
    for second in (1_700_000_000, 1_700_000_000, 1_600_000_000, 0, 4_000_000_000, 1_700_000_001):
        monkeypatch.setattr(time, "time_ns", lambda second=second: second * 1_000_000_000 + 5_000)
        told.append(clock.now())
        expected = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000005Z")
        assert told[-1] == expected


def test_many_take_mappings_and_messages_and_keep_further_fields() -> None:
    rows: list[dict[str, Any] | str] = [
        {"message": "a", "trace": 1, "timestamp": datetime(2024, 1, 1, tzinfo=UTC)},
        "b",
        {"timestamp": None},
    ]
    found = [json.loads(ENCODER.row(row)) for row in rows]
    assert found[0] == {
        "project_id": "p",
        "timestamp": "2024-01-01T00:00:00.000000Z",
        "level": "info",
        "service": "s",
        "message": "a",
        "trace": 1,
    }
    assert (found[1]["message"], found[2]["message"]) == ("b", "")
    assert isinstance(found[2]["timestamp"], str)


def test_a_publication_keeps_a_value_of_none_and_its_names() -> None:
    plain = json.loads(ENCODER.any(Publication(None, partition_key="k")))
    assert plain == {"value": None, "partitionKey": "k"}
    assert json.loads(ENCODER.any(Publication("\ud800", partition_key="k"))) == {"value": "?", "partitionKey": "k"}


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.characters()
    | st.binary()
    | st.builds(object),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner),
    max_leaves=20,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.text(st.characters()), st.dictionaries(st.text(), anything))
def test_whatever_is_handed_over_becomes_valid_json(message: str, metadata: dict[str, Any]) -> None:
    text = ENCODER.log(message, metadata=metadata)[1]
    found = json.loads(text.decode())
    assert found["message"] == message.encode(errors="replace").decode()
    assert len(found["metadata"]) <= len(metadata)


def test_what_is_too_deep_becomes_text() -> None:
    deep: Any = "x"
    for _ in range(2000):
        deep = [deep]
    found = logged(metadata={"deep": deep, "bad": {(): 1}})
    depth = 0
    at = found["metadata"]["deep"]
    while isinstance(at, list):
        at, depth = at[0], depth + 1
    assert depth < MAX_DEPTH
    assert isinstance(at, str)
