import json

from forebay.cli.send import Batch, Line, Refused
from forebay.cli.send.batches import BATCH_EVENTS
from forebay.cli.send.sizer import ALIKE, BatchSizer, remaining
from support.harness import event


def some(count: int, project: str = "p") -> list[Line]:
    return [Line(number, json.dumps(event("m", project)).encode(), number) for number in range(1, count + 1)]


class RateLimiter:
    """Sends lines to a server that refuses those of some numbers."""

    def __init__(self, bad: set[int], *, names: bool, status: int = 400) -> None:
        self.bad, self.names, self.status = bad, names, status
        self.sizer = BatchSizer()
        self.requests = self.sent = 0
        self.stored: list[int] = []
        self.rejected: list[int] = []

    def send(self, lines: list[Line]) -> None:
        while lines:
            part = Batch(lines[: self.sizer.size])
            self.requests += 1
            self.sent += len(part.lines)
            index = next((i for i, line in enumerate(part.lines) if line.number in self.bad), None)
            if index is None:
                self.stored += [line.number for line in part.lines]
                lines = lines[len(part.lines) :]
                self.sizer.accepted()
                continue
            refusal = Refused(self.status, index if self.names else None, "no")
            rejections = self.sizer.refused(lines, part, refusal)
            self.rejected += [rejection.line.number for rejection in rejections]
            lines = remaining(lines, rejections)


def test_only_the_bad_line_is_rejected_named_or_not() -> None:
    for names, most in ((True, 10), (False, 25)):
        for bad in (1, 250, 500):
            account = RateLimiter({bad}, names=names)
            account.send(some(BATCH_EVENTS))
            assert account.rejected == [bad]
            assert account.stored == [number for number in range(1, 501) if number != bad]
            assert account.requests <= most


def test_a_named_refusal_throughout_costs_a_request_a_line_and_no_more_bytes_than_there_are() -> None:
    everything = set(range(BATCH_EVENTS + 1))
    account = RateLimiter(everything, names=True)
    for _ in range(3):
        account.send(some(BATCH_EVENTS))
    assert (len(account.rejected), account.requests) == (3 * BATCH_EVENTS, 3 * BATCH_EVENTS)
    assert account.sent <= 3 * 2 * BATCH_EVENTS + BATCH_EVENTS


def test_an_unnamed_refusal_throughout_costs_a_few_requests_and_then_one_a_batch() -> None:
    everything = set(range(BATCH_EVENTS + 1))
    account = RateLimiter(everything, names=False)
    account.send(some(BATCH_EVENTS))
    assert account.rejected == list(range(1, BATCH_EVENTS + 1))
    assert account.requests <= 9 + ALIKE
    before = account.requests
    for _ in range(10):
        account.send(some(BATCH_EVENTS))
    assert (account.requests - before, len(account.rejected)) == (10, 11 * BATCH_EVENTS)
    account.bad = set()
    account.send(some(BATCH_EVENTS))
    assert len(account.stored) == BATCH_EVENTS, "one that is taken ends it"


def test_a_size_says_nothing_of_other_lines() -> None:
    account = RateLimiter(set(range(1, 3 * ALIKE)), names=False, status=413)
    account.send(some(4 * ALIKE))
    assert account.stored == list(range(3 * ALIKE, 4 * ALIKE + 1))


def test_a_project_is_refused_at_once() -> None:
    lines = [line for pair in zip(some(5, "mine"), some(5, "yours"), strict=True) for line in pair]
    lines = [Line(number, line.text, number) for number, line in enumerate(lines, 1)]
    account = RateLimiter(set(range(2, 11, 2)), names=True, status=403)
    account.send(lines)
    assert (account.rejected, account.stored, account.requests) == ([2, 4, 6, 8, 10], [1, 3, 5, 7, 9], 2)
