"""Log search through the binding."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay import errors
from forebay._forebay import Engine, SearchCancel
from forebay.embedded.options import EngineOptions


def event(number: int) -> bytes:
    return json.dumps(
        {
            "project_id": f"p{number % 2}",
            "timestamp": f"2024-05-31T15:30:{number:02}Z",
            "level": "info",
            "service": "api",
            "message": f"Request {number} timed out",
            "metadata": {"user_id": number},
        }
    ).encode()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(str(tmp_path), EngineOptions().engine_options())
    engine.append("logs", [(None, event(number), b"", None) for number in range(20)], None)
    yield engine
    engine.close()


def search(engine: Engine, request: dict[str, Any]) -> Any:
    return json.loads(engine.search(json.dumps(request).encode(), b"token", SearchCancel()))


def test_pages_are_json_and_newest_first(engine: Engine) -> None:
    conditions = {"query": 'request "timed out"', "projects": ["p1"]}
    page = search(engine, {"conditions": conditions, "limit": 4})
    assert [hit["value"]["metadata"]["user_id"] for hit in page["hits"]] == [19, 17, 15, 13]
    assert (page["total"], page["totalIsExact"], page["complete"], page["recordsLost"]) == (10, True, True, 0)
    assert page["hits"][0]["eventId"].startswith("evt_")
    rest = search(engine, {"conditions": conditions, "cursor": page["cursor"]})
    assert [hit["value"]["metadata"]["user_id"] for hit in rest["hits"]] == [11, 9, 7, 5, 3, 1]
    assert rest["cursor"] is None


def test_counts_and_exports_are_json_too(engine: Engine) -> None:
    counted = json.loads(engine.search_stats(b'{"by":"project_id"}', b"token", SearchCancel()))
    assert counted["groups"] == [{"value": "p0", "count": 10}, {"value": "p1", "count": 10}]
    request: dict[str, Any] = {"conditions": {"user_id": "7"}, "max_bytes": 1000}
    lines, state = engine.search_export(json.dumps(request).encode(), b"token", SearchCancel())
    assert json.loads(lines)["value"] == json.loads(event(7))
    assert json.loads(state)["done"]


def test_a_search_that_was_cancelled_is_not_complete(engine: Engine) -> None:
    cancelled = SearchCancel()
    before = cancelled.is_cancelled
    cancelled.cancel()
    assert (before, cancelled.is_cancelled) == (False, True)
    page = json.loads(engine.search(b"{}", b"token", cancelled))
    assert (page["complete"], page["stoppedBy"]) == (False, "cancelled")


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"conditions": {"query": '"open'}}, "query: the term at byte 0"),
        ({"limit": 101}, "limit is 101"),
        ({"cursor": "x"}, "cursor: is none that a page gave"),
        ({"where": 1}, "unknown field `where`"),
    ],
)
def test_a_refusal_names_the_field(engine: Engine, request_: dict[str, Any], why: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=why):
        search(engine, request_)
