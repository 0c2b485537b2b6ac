"""The function of the rows of `processors.py` that map in Python: runs in a worker process of forebay."""

from __future__ import annotations

from typing import Any

import forebay


@forebay.function("score", fields=("userId", "amount"))
def score(payments: list[Any]) -> list[Any]:
    return [{"userId": each.userId, "risk": each.amount / 1000} for each in payments]
