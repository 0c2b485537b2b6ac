"""The audit finds each kind of broken promise, on a real log that holds other than what the ledger says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import forebay
from forebay.cli.commands.source import Directory
from forebay.cli.torture import Audit, Composer, Ledger, Outcome


class Scene:
    """A log, a ledger of one sender, and an audit; the test appends what it likes, whatever the ledger says."""

    def __init__(self, log: forebay.Log) -> None:
        self.log = log
        self.ledger = Ledger(1)
        self.audit = Audit("scene", self.ledger)
        self._composer = Composer("scene", 0, 1)

    def sent(self, outcome: Outcome, *, at_least: int = 1) -> list[dict[str, Any]]:
        """The events of the next batch, with its outcome in the ledger."""
        sent = self.ledger.senders[0]
        size = 0
        while size < at_least:
            body, size = self._composer.batch(len(sent))
        sent.settle(sent.begin(size), outcome)
        events: list[dict[str, Any]] = json.loads(body)["events"]
        return events

    def append(self, events: list[dict[str, Any]]) -> None:
        self.log.append("logs", [forebay.Record(event) for event in events])

    def findings(self, *, stopped: bool = False) -> list[str]:
        self.audit.catch_up(Directory(self.log))
        self.audit.settle(stopped=stopped)
        self.audit.again(Directory(self.log))
        return self.audit.findings


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with forebay.open(tmp_path / "data") as log:
        yield Scene(log)


def test_nothing_to_find(scene: Scene) -> None:
    for outcome in (Outcome.ACKNOWLEDGED, Outcome.UNANSWERED, Outcome.ACKNOWLEDGED):
        scene.append(scene.sent(outcome, at_least=3))
    scene.sent(Outcome.UNANSWERED)
    scene.sent(Outcome.REFUSED)
    assert scene.findings() == []
    assert scene.audit.present(Outcome.UNANSWERED) == 1


def test_an_acknowledged_batch_that_is_missing(scene: Scene) -> None:
    scene.append(scene.sent(Outcome.ACKNOWLEDGED))
    lost = scene.sent(Outcome.ACKNOWLEDGED)
    scene.append(scene.sent(Outcome.ACKNOWLEDGED))
    assert scene.findings() == [f"sender 0 batch 1, acknowledged: 0 of its {len(lost)} events are there"]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_batch_that_is_there_in_part(scene: Scene, outcome: Outcome) -> None:
    events = scene.sent(outcome, at_least=3)
    scene.append(events[:-1])
    size = len(events)
    assert scene.findings() == [
        f"sender 0 batch 0, {outcome.name.lower()}: {size - 1} of its {size} events are there",
    ]


def test_a_refused_batch_that_is_there(scene: Scene) -> None:
    scene.append(scene.sent(Outcome.REFUSED))
    assert "refused" in scene.findings()[0]


def test_a_batch_that_a_stopping_server_stored_and_did_not_answer(scene: Scene) -> None:
    scene.append(scene.sent(Outcome.UNANSWERED))
    assert "unanswered" in scene.findings(stopped=True)[0]


def test_an_event_that_is_there_twice(scene: Scene) -> None:
    events = scene.sent(Outcome.ACKNOWLEDGED)
    scene.append(events)
    scene.append(events[-1:])
    assert "is there twice, or out of order" in scene.findings()[0]


def test_batches_out_of_order(scene: Scene) -> None:
    first, second = scene.sent(Outcome.ACKNOWLEDGED, at_least=100), scene.sent(Outcome.ACKNOWLEDGED, at_least=100)
    scene.append(second)
    scene.append(first)
    assert "is there twice, or out of order" in scene.findings()[0]


def test_a_batch_that_appears_later(scene: Scene) -> None:
    events = scene.sent(Outcome.UNANSWERED)
    assert scene.findings() == []
    scene.append(events)
    assert "nobody has sent it since" in scene.findings()[0]


@pytest.mark.parametrize(
    ("field", "value"), [("message", "other"), ("project_id", "project-99"), ("metadata", {"of": 9999})]
)
def test_an_event_that_was_changed(scene: Scene, field: str, value: Any) -> None:
    events = scene.sent(Outcome.ACKNOWLEDGED)
    events[0][field] = {**events[0][field], **value} if isinstance(value, dict) else value
    scene.append(events)
    assert "is not as it was sent" in scene.findings()[0]


def test_an_event_of_somebody_else(scene: Scene) -> None:
    events = json.loads(Composer("other", 0, 1).batch(0)[0])["events"]
    scene.append(events)
    assert "was not sent here" in scene.findings()[0]


def test_a_record_that_is_no_event(scene: Scene) -> None:
    events = scene.sent(Outcome.ACKNOWLEDGED)
    del events[0]["metadata"]
    scene.append(events)
    assert "brought no events" in scene.findings()[0]


def test_a_log_that_has_gone_back(scene: Scene, tmp_path: Path) -> None:
    scene.append(scene.sent(Outcome.ACKNOWLEDGED, at_least=100))
    assert scene.findings() == []
    with forebay.open(tmp_path / "empty") as scene.log:
        assert "ends at 0, but was read up to" in scene.findings()[0]


def test_records_that_changed_their_offsets(scene: Scene, tmp_path: Path) -> None:
    first, second = scene.sent(Outcome.ACKNOWLEDGED, at_least=100), scene.sent(Outcome.ACKNOWLEDGED, at_least=100)
    scene.append(first)
    scene.append(second)
    assert scene.findings() == []
    with forebay.open(tmp_path / "other") as scene.log:
        scene.append(second)
        scene.append(first)
        assert any("holds another event than when it was read before" in finding for finding in scene.findings())
