"""Transactions as JSON lines for stream processors, what is to come of them by brute force, and whether it did."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.cache import Cache

MINUTE_MS = 60_000
#: The beginning of a window of any length used here: 2025-01-15T10:00:00Z.
BEGIN_MS = 1_736_935_200_000
#: From the first record to the last one, which closes every window before it.
SPAN_MS = 30 * MINUTE_MS
WINDOW_MS = 5 * MINUTE_MS
#: A sliding window of 60 panes.
SLIDING_MS, SLIDE_MS = 60 * MINUTE_MS, MINUTE_MS
THRESHOLD = 1000

#: About 267 bytes each.
FORM = (
    '{"transactionId":"t%012d","at":%d,"userId":"user-%07d","amount":%s,"currency":"EUR",'
    '"merchant":{"id":"m-%05d","category":"groceries","country":"DE"},'
    '"card":"4111-XXXX-XXXX-%04d","channel":"online","device":"ios","region":"eu-central-1"}\n'
)

Key = tuple[int, str]
"""The start of a window in milliseconds, and a user."""


def lines(records: int, keys: int) -> Iterator[str]:
    """Records in the order of their event times, amounts uniform from 0 to 2000; the last one passes every filter, and
    is the first of the window that stays open."""
    source = random.Random(7)
    for number in range(records):
        last = number == records - 1
        at = BEGIN_MS + number * SPAN_MS // (records - 1)
        amount = "1999.99" if last else "%.2f" % (source.randrange(200_000) / 100)
        yield FORM % (number, at, source.randrange(keys), amount, source.randrange(10**5), source.randrange(10**4))


def written(cache: Cache, records: int, keys: int) -> Path:
    """The file of so many records, made once."""

    def install(place: Path) -> None:
        with (place / "input.jsonl").open("w") as file:
            file.writelines(lines(records, keys))

    return cache.installed(f"transactions-{records}-{keys}", f"{FORM}{BEGIN_MS}{SPAN_MS}", install) / "input.jsonl"


def head(path: Path, records: int) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        yield from map(json.loads, itertools.islice(file, records))


def counts(path: Path, length: int, slide: int) -> dict[Key, int]:
    """How many transactions above the threshold each user has in each window that the last record closes."""
    found: Counter[Key] = Counter()
    for one in head(path, 1 << 60):
        if one["amount"] > THRESHOLD:
            newest = one["at"] - one["at"] % slide
            for start in range(newest, newest - length, -slide):
                if start + length <= BEGIN_MS + SPAN_MS:
                    found[start, one["userId"]] += 1
    return dict(found)


def judged_counts(expected: dict[Key, int], output: Path) -> str:
    """Whether the results `{"windowStart","key","count"}` in a file are those expected, and each there once. A batch
    program also has a result of the window that the last record begins: it is passed over."""
    missing, other, twice = dict(expected), 0, 0
    seen: set[Key] = set()
    for result in head(output, 1 << 60):
        key = (result["windowStart"], result["key"])
        if key[0] >= BEGIN_MS + SPAN_MS:
            continue
        twice += key in seen
        other += key not in seen and result["count"] != expected.get(key)
        seen.add(key)
        missing.pop(key, None)
    return verdict(len(expected), {"missing": len(missing), "other": other, "twice": twice})


def judged_values(expected: Iterable[Any], output: Path) -> str:
    """Whether the values in a file are those expected, in their order."""
    absent = object()
    total = other = 0
    for want, got in itertools.zip_longest(expected, head(output, 1 << 60), fillvalue=absent):
        total += want is not absent
        other += want != got
    return verdict(total, {"other": other})


def verdict(total: int, wrong: dict[str, int]) -> str:
    found = ", ".join(f"{count:,} {what}" for what, count in wrong.items() if count)
    return f"WRONG: of {total:,} results {found}" if found else "right"


def above(path: Path) -> Iterator[dict[str, Any]]:
    """The transactions above the threshold."""
    return (one for one in head(path, 1 << 60) if one["amount"] > THRESHOLD)


def scored(path: Path) -> Iterator[dict[str, Any]]:
    """What :mod:`harness.scoring` makes of all."""
    return ({"userId": one["userId"], "risk": one["amount"] / THRESHOLD} for one in head(path, 1 << 60))


def rules(path: Path, processors: int) -> int:
    """How many results so many processors have in all, of which number N counts amounts above the threshold plus N."""
    highest: dict[Key, float] = {}
    for one in above(path):
        start = one["at"] - one["at"] % WINDOW_MS
        if start + WINDOW_MS <= BEGIN_MS + SPAN_MS:
            key = (start, one["userId"])
            highest[key] = max(highest.get(key, 0.0), one["amount"])
    return sum(min(math.ceil(amount) - THRESHOLD, processors) for amount in highest.values())
