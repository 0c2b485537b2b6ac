"""What becomes of the lines of a batch, whatever the server answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from client.proxy import Answer, Request, Scripted, accepted, scripted
from forebay.cli.send import Delivery, Line, Rejection, drain_of
from forebay.cli.send.batches import BATCH_EVENTS
from forebay.cli.send.delivery import ALIKE
from forebay.client.transport import DeliveryFailed
from support.harness import event


def test_targets() -> None:
    target = drain_of("http://localhost:8080/", "t")
    assert (target.host, target.port, target.path, target.secure) == ("localhost", 8080, "", False)
    assert drain_of("https://h/base", None).path == "/base"
    assert drain_of("https://h/base", None).port == 443
    assert drain_of("http://[::1]:9/v1/drain", None).path == ""
    for url in ("localhost:8080", "ftp://h", "http://", "http://h/?q=1"):
        with pytest.raises(ValueError, match="is not http://host:port"):
            drain_of(url, None)


@contextmanager
def delivering(server: Scripted) -> Iterator[Delivery]:
    made = Delivery(drain_of(server.url, None), patience_seconds=1, stop=threading.Event(), on_retry=lambda _: None)
    try:
        yield made
    finally:
        made.close()


def refused(answer: Answer) -> tuple[list[Line], list[Rejection]] | DeliveryFailed:
    """What is left of three lines and rejected of them, after one request with all of them."""
    lines = [Line(number, b"{%d}" % number, number) for number in range(3)]
    with scripted(lambda _: answer) as server, delivering(server) as delivery:
        try:
            return delivery.post(lines, delivery.part(lines))
        except DeliveryFailed as failed:
            return failed


@pytest.mark.parametrize(
    ("status", "error", "index", "reason"),
    [
        (400, "events[1].level: must not be empty", 1, "level: must not be empty"),
        (403, "events[2]: the token may not write this project", 2, "the token may not write this project"),
        (400, "the body is not valid JSON: lone surrogate at byte 16", 1, "the body is not valid JSON: lone surrogate"),
        (400, "the body is not valid JSON: lone surrogate at byte 99", None, ""),
        (400, "what", None, ""),
        (413, "the body has 9 bytes", None, ""),
    ],
)
def test_a_refusal_is_owed_to_one_event_or_to_any(status: int, error: str, index: int | None, reason: str) -> None:
    found = refused(Answer(status, b'{"error":"%s","code":"x"}' % error.encode()))
    assert not isinstance(found, DeliveryFailed)
    left, rejections = found
    assert [line.number for line in left] == [number for number in range(3) if number != index]
    assert [(row.line.number, row.reason) for row in rejections] == ([] if index is None else [(index, reason)])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_of_the_request_is_owed_to_no_event(status: int) -> None:
    assert isinstance(refused(Answer(status, b"<html>plain HTTP to an HTTPS port</html>")), DeliveryFailed)
    if status != 400:
        failed = refused(Answer(status, b'{"error":"no","code":"x"}'))
        assert isinstance(failed, DeliveryFailed)
        assert str(failed).startswith(f"{status}: no")
        assert ("--token" in str(failed)) is (status in (401, 403))


def test_an_event_that_was_not_sent_cannot_be_refused() -> None:
    failed = refused(Answer(400, b'{"error":"events[3]: no","code":"x"}'))
    assert isinstance(failed, DeliveryFailed)
    assert "was not sent" in str(failed)


def test_a_size_may_be_refused_by_what_is_in_between() -> None:
    found = refused(Answer(413, b"<html>Request Entity Too Large</html>"))
    assert not isinstance(found, DeliveryFailed)
    assert len(found[0]) == 3, "in halves, from here on"


def some(count: int) -> list[Line]:
    return [Line(number, json.dumps(event(str(number))).encode(), number) for number in range(1, count + 1)]


class Judge:
    """A server that refuses lines of some numbers, and what becomes of all that is sent to it."""

    def __init__(self, bad: set[int], *, names: bool, status: int = 400) -> None:
        self.bad, self.names, self.status = bad, names, status
        self.requests = self.sent = 0
        self.stored: list[int] = []
        self.rejected: list[int] = []

    def answer(self, request: Request) -> Answer:
        numbers = [int(row["message"]) for row in json.loads(request.body)["events"]]
        self.requests += 1
        self.sent += len(numbers)
        index = next((at for at, number in enumerate(numbers) if number in self.bad), None)
        if index is None:
            self.stored += numbers
            return accepted(request)
        error = f"events[{index}]: no" if self.names else "no"
        return Answer(self.status, json.dumps({"error": error, "code": "x"}).encode())

    @contextmanager
    def delivering(self) -> Iterator[Delivery]:
        with scripted(self.answer) as server, delivering(server) as delivery:
            yield delivery

    def send(self, delivery: Delivery, lines: list[Line]) -> None:
        while lines:
            lines, rejections = delivery.post(lines, delivery.part(lines))
            self.rejected += [rejection.line.number for rejection in rejections]


EVERYTHING = set(range(BATCH_EVENTS + 1))


def test_only_the_bad_line_is_rejected_named_or_not() -> None:
    for names, most in ((True, 10), (False, 25)):
        for bad in (1, 250, 500):
            judge = Judge({bad}, names=names)
            with judge.delivering() as delivery:
                judge.send(delivery, some(BATCH_EVENTS))
            assert judge.rejected == [bad]
            assert judge.stored == [number for number in range(1, 501) if number != bad]
            assert judge.requests <= most


def test_a_named_refusal_throughout_costs_a_request_a_line_and_no_more_bytes_than_there_are() -> None:
    judge = Judge(EVERYTHING, names=True)
    with judge.delivering() as delivery:
        for _ in range(3):
            judge.send(delivery, some(BATCH_EVENTS))
    assert (len(judge.rejected), judge.requests) == (3 * BATCH_EVENTS, 3 * BATCH_EVENTS)
    assert judge.sent <= 3 * 2 * BATCH_EVENTS + BATCH_EVENTS


def test_an_unnamed_refusal_throughout_costs_a_few_requests_and_then_one_a_batch() -> None:
    judge = Judge(EVERYTHING, names=False)
    with judge.delivering() as delivery:
        judge.send(delivery, some(BATCH_EVENTS))
        assert judge.rejected == list(range(1, BATCH_EVENTS + 1))
        assert judge.requests <= 9 + ALIKE
        before = judge.requests
        for _ in range(10):
            judge.send(delivery, some(BATCH_EVENTS))
        assert (judge.requests - before, len(judge.rejected)) == (10, 11 * BATCH_EVENTS)
        judge.bad = set()
        judge.send(delivery, some(BATCH_EVENTS))
    assert len(judge.stored) == BATCH_EVENTS, "one that is taken ends it"


def test_a_size_says_nothing_of_other_lines() -> None:
    judge = Judge(set(range(1, 3 * ALIKE)), names=False, status=413)
    with judge.delivering() as delivery:
        judge.send(delivery, some(4 * ALIKE))
    assert judge.stored == list(range(3 * ALIKE, 4 * ALIKE + 1))


def test_a_project_is_refused_at_once() -> None:
    lines = [
        Line(number, json.dumps(event(str(number), "mine" if number % 2 else "yours")).encode(), number)
        for number in range(1, 11)
    ]
    judge = Judge(set(range(2, 11, 2)), names=True, status=403)
    with judge.delivering() as delivery:
        judge.send(delivery, lines)
    assert (judge.rejected, judge.stored, judge.requests) == ([2, 4, 6, 8, 10], [1, 3, 5, 7, 9], 2)
