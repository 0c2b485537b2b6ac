"""The short way of an ingest request, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from forebay.config import Settings
from forebay.errors import ForebayError, Saturated
from forebay.http.auth import Guard
from forebay.http.dialects import Family, render
from forebay.http.ingest import answerer
from forebay.http.intake import ACK_SECONDS, SWEEP_SECONDS, Delivery, Intake
from forebay.http.request import Allowance
from forebay.http.router import Role


class Body:
    """RSGI's future of a body."""

    def __init__(self) -> None:
        self.callback: Callable[[Any], None] | None = None
        self.outcome: bytes | BaseException = b""
        self.cancelled = False

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self.callback = callback

    def result(self) -> bytes:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def arrive(self, outcome: bytes | BaseException) -> None:
        self.outcome = outcome
        assert self.callback is not None
        self.callback(self)

    def cancel(self) -> bool:
        self.cancelled = True
        self.arrive(asyncio.CancelledError())
        return True


class Exchange:
    """Scope and protocol of one request; answering twice is an error, as in Granian."""

    method, path, query_string = "POST", "/v1/drain", ""

    def __init__(self, **headers: str) -> None:
        self.headers = self
        self.fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self.body = Body()
        self.answers: list[int] = []

    def get(self, key: str, default: str | None = None) -> str | None:
        return self.fields.get(key, default)

    def get_all(self, key: str) -> list[str]:
        return [self.fields[key]] if key in self.fields else []

    def __contains__(self, key: str) -> bool:
        return key in self.fields

    def __call__(self) -> Body:
        return self.body

    def response_bytes(self, status: int, headers: object, body: bytes) -> None:
        if self.answers:
            raise RuntimeError("answered twice")
        self.answers.append(status)


class Submitted:
    """In place of the engine: keeps what is submitted, or refuses it."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.refusal: ForebayError | None = None

    def submit(self, *arguments: Any) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.calls.append(arguments)


@pytest.fixture
def engine() -> Submitted:
    return Submitted()


@pytest.fixture
def intake(engine: Submitted) -> Intake:
    return Intake(
        engine,  # type: ignore[arg-type]
        0,
        answerer(Settings()),
        lambda error, close: render(Family.DRAIN, error, close=close),
        guard=Guard(None),
        role=Role.INGEST,
        body_limit=100,
        body_seconds=2.0,
        allowance=Allowance(150),
    )


def take(intake: Intake, exchange: Exchange) -> bool:
    return intake.take(exchange, exchange)  # type: ignore[arg-type]


def test_a_body_is_submitted_and_acknowledged_once(intake: Intake, engine: Submitted) -> None:
    exchange = Exchange(content_length="5", idempotency_key="k", forebay_on_invalid="quarantine")
    assert take(intake, exchange)
    assert intake.allowance.used == 5
    exchange.body.arrive(b"12345")
    assert intake.allowance.used == 0
    [(shape, body, delivery, *terms)] = engine.calls
    assert (shape, body, terms) == (0, b"12345", [None, True, (b"", b"k"), None, None, None])
    delivery.set_result((202, b"{}"))
    delivery.set_result((202, b"{}"))
    assert exchange.answers == [202]
    assert not intake.under_way


@pytest.mark.parametrize("outcome", [RuntimeError("broken"), asyncio.CancelledError()])
def test_a_body_that_does_not_come_is_answered_all_the_same(intake: Intake, outcome: BaseException) -> None:
    exchange = Exchange(content_length="5")
    assert take(intake, exchange)
    exchange.body.arrive(outcome)
    assert exchange.answers == [400 if isinstance(outcome, RuntimeError) else 408]
    assert (intake.allowance.used, intake.under_way) == (0, {})


def test_the_deadline_of_a_body_is_never_early(intake: Intake) -> None:
    exchange = Exchange(content_length="5")
    began = intake.now
    assert take(intake, exchange)
    # The request may have come just before the next sweep.
    intake.sweep(began + SWEEP_SECONDS + 2.0)
    assert exchange.answers == []
    intake.sweep(began + SWEEP_SECONDS + 2.1)
    assert exchange.answers == [408]


def test_a_commit_after_its_deadline_answers_nothing_more(intake: Intake, engine: Submitted) -> None:
    exchange = Exchange(content_length="1")
    take(intake, exchange)
    exchange.body.arrive(b"x")
    intake.sweep(intake.now + ACK_SECONDS + 1)
    assert exchange.answers == [504]
    delivery = engine.calls[0][2]
    delivery.set_result((202, b"{}"))
    delivery.set_exception(Saturated("late"))
    assert exchange.answers == [504]


def test_a_refusal_and_a_defect_are_answered(intake: Intake, engine: Submitted) -> None:
    engine.refusal = Saturated("full")
    exchange = Exchange(content_length="1")
    take(intake, exchange)
    exchange.body.arrive(b"x")
    assert exchange.answers == [429]
    engine.refusal = None
    exchange = Exchange(content_length="1")
    take(intake, exchange)
    exchange.body.arrive(b"x")
    delivery: Delivery = engine.calls[0][2]
    delivery.set_exception(ValueError("what"))
    assert exchange.answers == [500]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content_length": "101"},
        {"content_length": "-1"},
        {"content_length": "+1"},
        {"content_length": "\u0661"},
        {"content_length": "1", "idempotency_key": ""},
        {"content_length": "1", "forebay_on_invalid": "x"},
    ],
)
def test_what_is_out_of_the_ordinary_is_declined(intake: Intake, headers: dict[str, str]) -> None:
    assert not take(intake, Exchange(**headers))
    assert (intake.allowance.used, intake.under_way) == (0, {})


def test_bodies_beyond_the_allowance_are_declined(intake: Intake) -> None:
    assert take(intake, Exchange(content_length="100"))
    assert not take(intake, Exchange(content_length="51"))
    assert take(intake, Exchange(content_length="50"))


def test_a_publication_names_its_stream_and_is_told_the_outcome_in_time(intake: Intake, engine: Submitted) -> None:
    async def run() -> list[int]:
        exchange = Exchange(content_length="5")
        assert intake.take(exchange, exchange, "orders")  # type: ignore[arg-type]
        exchange.body.arrive(b"12345")
        [(_, _, delivery, *terms)] = engine.calls
        assert terms[-1] == "orders"
        delivery.set_timeout(0)
        # Timers run in the order of their times: when this one is through, the other one is.
        await asyncio.sleep(0.01)
        delivery.set_result((202, b"{}"))
        return exchange.answers

    assert asyncio.run(run()) == [504]
    quarantine = Exchange(content_length="5", forebay_on_invalid="quarantine")
    assert not intake.take(quarantine, quarantine, "orders")  # type: ignore[arg-type]


def test_an_answered_publication_is_not_kept_until_its_own_deadline(intake: Intake, engine: Submitted) -> None:
    async def run() -> list[int]:
        exchange = Exchange(content_length="5")
        assert intake.take(exchange, exchange, "orders")  # type: ignore[arg-type]
        exchange.body.arrive(b"12345")
        [(_, _, delivery, *_terms)] = engine.calls
        delivery.set_timeout(60)
        timer = delivery.timer
        delivery.set_result((202, b"{}"))
        assert timer.cancelled()
        delivery.set_timeout(60)
        assert delivery.timer is None, "it was answered before its deadline was known"
        return exchange.answers

    assert asyncio.run(run()) == [202]
