"""The lag of consumer groups."""

from types import SimpleNamespace

import pytest

from forebay.server.telemetry import OTHERS, GroupCollector, groups


def group(name: str, lag: int = 0) -> SimpleNamespace:
    return SimpleNamespace(name=name, lag=lag)


def rows(*found: SimpleNamespace) -> dict[str, float]:
    engine = SimpleNamespace(groups=lambda: list(found))
    (family,) = GroupCollector(engine).collect()  # type: ignore[arg-type]
    return {sample.labels["group"]: sample.value for sample in family.samples}


def test_each_group_has_its_lag() -> None:
    assert rows(group("behind", 12), group("new")) == {"behind": 12, "new": 0}


def test_groups_beyond_the_bound_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_GROUP_LABELS", 2)
    assert rows(*(group(f"g{n}", n) for n in (4, 3, 2, 1))) == {"g1": 1, "g2": 2, OTHERS: 7}
