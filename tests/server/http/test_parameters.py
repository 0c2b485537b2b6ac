import re
from typing import Any

import pytest

from forebay import errors
from forebay.server.http.parameters import REQUIRED, Parameter, Parameters, choice, flag, text, whole

LIMIT = whole("limit", 3, 1, 10, "How many.")
OFFSET = whole("offset", None, 0, 10, "Where.", words=("earliest", "latest"), error=errors.InvalidOffset)
MODE = choice("mode", "a", ("a", "b"), "Which.")
FORCE = flag("force", False, "Whether.")
GROUP = text("group", REQUIRED, "Whose.", high=4, pattern="[a-z]+")


def parse(query: str, *rows: Parameter[Any]) -> dict[str, Any]:
    return Parameters(*rows).parse(query)


def test_what_is_not_given_has_its_default() -> None:
    assert parse("", LIMIT, OFFSET, MODE, FORCE) == {"limit": 3, "offset": None, "mode": "a", "force": False}


def test_values_have_their_types() -> None:
    values = parse("limit=5&offset=%37&mode=b&force=true&group=ab", LIMIT, OFFSET, MODE, FORCE, GROUP)
    assert values == {"limit": 5, "offset": 7, "mode": "b", "force": True, "group": "ab"}
    assert parse("offset=latest&force=false", OFFSET, FORCE) == {"offset": "latest", "force": False}


def test_defaults_are_not_changed_by_a_request() -> None:
    rows = Parameters(LIMIT)
    rows.parse("limit=9")
    assert rows.parse("") == {"limit": 3}


@pytest.mark.parametrize(
    "number", ["0", "11", "-1", "1.0", "1e3", "x", "", "%201", "1_0", "%D9%A1", "9" * 5000, "--1", "-"]
)
def test_numbers_out_of_range_are_refused_naming_the_range(number: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="limit is .*, which is not a whole number from 1 to 10"):
        parse(f"limit={number}", LIMIT)


def test_a_row_may_have_an_error_of_its_own() -> None:
    with pytest.raises(errors.InvalidOffset, match="'first', which is not earliest, latest or a whole number"):
        parse("offset=first", OFFSET)


@pytest.mark.parametrize("query", ["mode=c", "mode=A", "mode=", "force=1", "force=True", "group=", "group=abcde"])
def test_what_is_not_among_the_expected_is_refused(query: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="which is not"):
        parse(query, MODE, FORCE, GROUP)


@pytest.mark.parametrize("value", ["aB", "a%0A", "a1", "%C3%A9"])
def test_a_pattern_holds_for_the_whole_text(value: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=re.escape("matches [a-z]+")):
        parse(f"group={value}", GROUP)


def test_a_required_one_must_be_given() -> None:
    for query in ("", "limit=1"):
        with pytest.raises(errors.InvalidRequest, match="query parameter group is missing"):
            parse(query, LIMIT, GROUP)


@pytest.mark.parametrize("query", ["lmit=5", "limit", "limit=5&limit=6", "limit=%ff", "=", "&".join(["limit=1"] * 65)])
def test_other_queries_are_refused(query: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        parse(query, LIMIT)


def test_a_route_without_parameters_takes_none() -> None:
    assert parse("") == {}
    with pytest.raises(errors.InvalidRequest, match="known here: none"):
        parse("a=1")


def test_a_name_is_declared_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        Parameters(LIMIT, LIMIT)


OPEN = Parameter("tags", (), "Any.", lambda given: given.removeprefix("tag."), "a tag", {}, prefix="tag.")


def test_a_row_with_a_prefix_takes_every_name_that_begins_so() -> None:
    rows = Parameters(LIMIT, OPEN)
    assert rows.parse("") == {"limit": 3, "tags": ()}
    given = rows.parse("tag.a=1&limit=4&tag.b%3E=x%3Dy&tag.c>5&tag.d%3C6&tag.e=")
    assert given == {"limit": 4, "tags": ("a=1", "b>=x=y", "c>5=", "d<6=", "e=")}
    assert list(rows) == [LIMIT], "it is described elsewhere"
    with pytest.raises(errors.InvalidRequest, match=r"unknown query parameter 'tag'; known here: limit, tag\.…"):
        rows.parse("tag=1")
    with pytest.raises(errors.InvalidRequest, match="given twice"):
        rows.parse("tag.a=1&tag.a=1")
    with pytest.raises(errors.InvalidRequest, match="not a list of name=value pairs"):
        rows.parse("tag.%FF=1")
    with pytest.raises(errors.InvalidRequest, match="unknown query parameter ''"):
        rows.parse("limit=3&")
