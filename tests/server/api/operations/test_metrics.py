"""The series of tokens."""

import pytest

from forebay.server.api import metrics
from forebay.server.api.operations.metrics import TokenCollector
from forebay.server.telemetry import OTHERS


class RateLimiter:
    def __init__(self, name: str, *usage: int) -> None:
        self.name = name
        self._usage = usage

    def usage(self) -> tuple[int, ...]:
        return self._usage


class Authenticator:
    def __init__(self, *limiters: RateLimiter) -> None:
        self._limiters = limiters

    def limiters(self) -> list[RateLimiter]:
        return list(self._limiters)


def rows(authenticator: Authenticator) -> dict[str, dict[str, float]]:
    return {
        family.name: {sample.labels["token"]: sample.value for sample in family.samples}
        for family in TokenCollector(authenticator).collect()  # type: ignore[arg-type]
    }


def test_each_token_that_was_used_has_its_series() -> None:
    shown = rows(Authenticator(RateLimiter("b", 1, 2, 3), RateLimiter("a", 4, 5, 0), RateLimiter("idle", 0, 0, 0)))
    assert shown == {
        "forebay_token_events": {"a": 4, "b": 1},
        "forebay_token_bytes": {"a": 5, "b": 2},
        "forebay_token_refusals": {"a": 0, "b": 3},
    }


def test_more_tokens_than_there_may_be_labels_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_TOKEN_LABELS", 2)
    shown = rows(Authenticator(*(RateLimiter(f"t{number}", number + 1, 10, 0) for number in range(5))))
    assert shown["forebay_token_events"] == {"t0": 1, "t1": 2, OTHERS: 3 + 4 + 5}
    assert shown["forebay_token_bytes"] == {"t0": 10, "t1": 10, OTHERS: 30}
