from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import transactions
from harness.cache import Cache
from harness.transactions import BEGIN_MS, SPAN_MS, WINDOW_MS

RECORDS, KEYS = 2_000, 50


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return transactions.written(Cache(tmp_path_factory.mktemp("cache")), RECORDS, KEYS)


def test_the_last_record_closes_every_window_before_it(source: Path) -> None:
    found = [json.loads(line) for line in source.read_text().splitlines()]
    assert len(found) == RECORDS
    assert (found[0]["at"], found[-1]["at"]) == (BEGIN_MS, BEGIN_MS + SPAN_MS)
    assert [one["at"] for one in found] == sorted(one["at"] for one in found)
    assert found[-1]["amount"] > 1000
    assert 260 <= source.stat().st_size / RECORDS <= 275


def test_counts_are_of_windows_that_are_closed(source: Path) -> None:
    counts = transactions.counts(source, WINDOW_MS, WINDOW_MS)
    assert {start for start, _ in counts} == set(range(BEGIN_MS, BEGIN_MS + SPAN_MS, WINDOW_MS))
    assert sum(counts.values()) == sum(1 for _ in transactions.above(source)) - 1
    # In windows of twice the length that begin as often, each is counted twice but for the last one's.
    sliding = transactions.counts(source, 2 * WINDOW_MS, WINDOW_MS)
    last = sum(count for (start, _), count in counts.items() if start == BEGIN_MS + SPAN_MS - WINDOW_MS)
    assert sum(sliding.values()) == 2 * sum(counts.values()) - last


def test_a_wrong_result_is_said(source: Path, tmp_path: Path) -> None:
    counts = transactions.counts(source, WINDOW_MS, WINDOW_MS)
    rows = [{"windowStart": start, "key": key, "count": count} for (start, key), count in counts.items()]

    def judged(changed: list[dict[str, object]]) -> str:
        output = tmp_path / "output"
        output.write_text("".join(json.dumps(row) + "\n" for row in changed))
        return transactions.judged_counts(counts, output)

    still_open = {"windowStart": BEGIN_MS + SPAN_MS, "key": "user-0000001", "count": 1}
    assert judged([*rows, still_open]) == "right"
    total = f"WRONG: of {len(counts):,} results"
    assert judged(rows[1:]) == f"{total} 1 missing"
    assert judged([*rows, rows[0]]) == f"{total} 1 twice"
    assert judged([rows[0] | {"count": 10**6}, *rows[1:]]) == f"{total} 1 other"
    assert judged([*rows, rows[0] | {"key": "nobody"}]) == f"{total} 1 other"


def test_values_are_compared_in_their_order(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    half = list(transactions.above(source))
    output.write_text("".join(json.dumps(one) + "\n" for one in half))
    assert transactions.judged_values(transactions.above(source), output) == "right"
    output.write_text("".join(json.dumps(one) + "\n" for one in half[:-1]))
    assert transactions.judged_values(transactions.above(source), output) == (
        f"WRONG: of {len(half):,} results 1 other"
    )


def test_results_of_rules_are_those_that_each_gives(source: Path) -> None:
    closed = [one for one in transactions.above(source) if one["at"] < BEGIN_MS + SPAN_MS]
    each = [
        len({(one["at"] // WINDOW_MS, one["userId"]) for one in closed if one["amount"] > 1000 + number})
        for number in range(30)
    ]
    assert transactions.rules(source, 30) == sum(each)
