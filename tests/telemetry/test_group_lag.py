"""The lag of consumer groups."""

from types import SimpleNamespace

import pytest

from forebay.telemetry import OTHERS, GroupCollector, groups


def group(name: str, *offsets: tuple[str, int, int, int]) -> SimpleNamespace:
    return SimpleNamespace(name=name, offsets=list(offsets))


def rows(*found: SimpleNamespace) -> dict[str, float]:
    engine = SimpleNamespace(groups=lambda: list(found))
    (family,) = GroupCollector(engine).collect()  # type: ignore[arg-type]
    return {sample.labels["group"]: sample.value for sample in family.samples}


def test_lag_is_summed_over_streams_and_partitions() -> None:
    behind = group("behind", ("logs", 0, 10, 15), ("logs", 1, 0, 7), ("events", 0, 3, 3))
    assert rows(behind, group("new")) == {"behind": 12, "new": 0}


def test_groups_beyond_the_bound_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_GROUP_LABELS", 2)
    assert rows(*(group(f"g{n}", ("logs", 0, 0, n)) for n in (4, 3, 2, 1))) == {"g1": 1, "g2": 2, OTHERS: 7}
