"""The finder of names."""

import pytest

from deploy.promql import names


@pytest.mark.parametrize(
    ("expression", "matched", "grouped"),
    [
        ("up == 0", [("up", [])], set()),
        ('m{a="1", b=~"x|y"}[5m]', [("m", [("a", "=", "1"), ("b", "=~", "x|y")])], set()),
        ("sum by (x, y) (rate(m_total[$__rate_interval]))", [("m_total", [])], {"x", "y"}),
        ("sum(rate(m[5m])) by (x)", [("m", [])], {"x"}),
        ("a / on (x) group_left b > 0.5e3", [("a", []), ("b", [])], {"x"}),
        ("a and b or c unless d", [("a", []), ("b", []), ("c", []), ("d", [])], set()),
        ("histogram_quantile(0.99, sum by (le) (rate(m_bucket[5m])))", [("m_bucket", [])], {"le"}),
        ('m{a="by (not) a {label}"}', [("m", [("a", "=", "by (not) a {label}")])], set()),
        ("topk(10, m) * 1e3 offset 5m", [("m", [])], set()),
    ],
)
def test_names(expression: str, matched: list[tuple[str, list[tuple[str, str, str]]]], grouped: set[str]) -> None:
    found = names(expression)
    assert (found.matched, found.grouped) == (matched, grouped)


@pytest.mark.parametrize("expression", ["sum(m", "m{a='1'", "m & n", 'm{a="1" "2"}'])
def test_what_is_no_expression(expression: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any will do
        names(expression)
