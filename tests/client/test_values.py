"""Whatever an application hands over becomes an event soon, and is not lost."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import types
from collections import OrderedDict, UserDict, deque
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from client.odd_values import (
    SHARED_LEVELS,
    VALUES,
    Broken,
    Colour,
    Endless,
    Level,
    Node,
    Record,
    Recursive,
    Rude,
    Wordy,
    doubled,
)
from client.proxy import Scripted, accepted, scripted
from forebay.client import AsyncClient, Client, LoggingHandler, StructlogProcessor
from forebay.client.encoding import CUTS, EVENT_BYTES, LOG_PARTS, MIN_EVENT_BYTES, Encoder, Publication
from forebay.client.value import (
    FOREIGN_PARTS,
    LONG_CHARACTERS,
    MAX_DEPTH,
    OBJECT_CHARACTERS,
    REPEATED_AGAIN_BYTES,
    REPEATED_BYTES,
    SMALL_DEPTH,
    SMALL_PARTS,
    is_bounded,
    spare_parts,
    whole,
)
from support.harness import RunningServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with scripted(accepted) as running:
        yield running


def bodies(server: Scripted) -> list[Any]:
    """What came since the last look."""
    seen, server.seen[:] = server.seen[:], []
    return [json.loads(request.body) for request in seen]


@pytest.mark.parametrize("name", VALUES)
def test_every_call_takes_it_and_loses_nothing(server: Scripted, name: str) -> None:
    bodies(server)
    with Client(server.url, linger_seconds=60) as client:
        value = VALUES[name]()
        assert client.log("metadata", metadata={"value": value})
        assert client.log(value)
        assert client.log("level", level=value, service="s", project_id="p")
        assert client.log_many([{"message": "row", "further": value}, {"message": value}, value]) == 3
        assert client.track("seen", user={"id": value}, context={"value": value})
        assert client.event("bought", "shop", {"value": value})
        assert client.publish("orders", value)
        assert client.publish("orders", 1, headers={"h": value})
        assert client.flush() == 0
        stats = client.stats()
        assert (stats.delivered, stats.rejected, stats.dropped) == (10, 0, 0)
    found = bodies(server)
    logs = [event for body in found if isinstance(body, dict) for event in body["events"] if "level" in event]
    assert [event["message"] for event in logs if event["message"] in ("metadata", "level", "row")] == [
        "metadata",
        "level",
        "row",
    ]
    assert all(len(json.dumps(event, ensure_ascii=False).encode()) <= 2 * EVENT_BYTES for event in logs)


@pytest.mark.parametrize("name", VALUES)
def test_both_loggers_take_it_and_lose_nothing(server: Scripted, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    bodies(server)
    logger = logging.Logger("client.values")
    with Client(server.url, linger_seconds=60) as client:
        value = VALUES[name]()
        handler = LoggingHandler(client)
        logger.addHandler(handler)
        logger.info("extra", extra={"value": value})
        logger.info("argument %s", value)
        logger.info(value)
        try:
            raise ValueError(value)
        except ValueError:
            logger.exception("failed")
            handler.setFormatter(logging.Formatter("%(message)s"))
            logger.exception("formatted")
            processor = StructlogProcessor(client)
            event = {"event": "bound", "value": value, "exc_info": True}
            assert processor(None, "info", event) is event
        processor(None, "info", {"event": value})
        assert processor.failures == 0
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().rejected) == (7, 0)
    events = [event for body in bodies(server) for event in body["events"]]
    assert len(events) == 7
    assert events[0]["message"] == "extra"
    assert events[1]["message"].startswith("argument ")
    assert [events[3]["metadata"]["exception"]["type"], events[5]["message"]] == ["builtins.ValueError", "bound"]
    assert "Traceback" in events[3]["metadata"]["exception"]["trace"] or "raise ValueError" in str(events[3])


@pytest.mark.parametrize(
    "name", ["cyclic list", "shared lists", "shared dicts", "endless mapping", "rude", "huge text"]
)
def test_it_is_no_different_for_asyncio(server: Scripted, name: str) -> None:
    async def run() -> None:
        async with AsyncClient(server.url) as client:
            value = VALUES[name]()
            assert await client.log(value, metadata={"value": value})
            assert await client.log_many([{"message": "row", "further": value}, value]) == 2
            assert await client.track("seen", context={"value": value})
            assert await client.event("bought", "shop", {"value": value})
            assert await client.publish("orders", value)
            assert await client.flush() == 0
            assert client.stats().delivered == 6

    asyncio.run(run())


ENCODER = Encoder("p", "s")


def logged(value: Any, encoder: Encoder = ENCODER) -> Any:
    return json.loads(encoder.log("m", metadata={"value": value})[1])["metadata"]["value"]


def test_the_part_that_holds_itself_becomes_text_and_the_rest_stays() -> None:
    value: dict[str, Any] = {"kept": [1, "two"]}
    value["self"] = value
    assert logged(value) == {"kept": [1, "two"], "self": "<dict: holds itself>"}


def test_what_is_there_twice_is_there_twice_unless_that_is_too_much() -> None:
    one = {"a": [1, 2]}
    assert logged([one, one, Rude()]) == [one, one, "<Rude: RuntimeError>"]
    found = logged(doubled(lambda inner: [inner, inner]))
    assert "<list: seen before>" in json.dumps(found)
    assert json.dumps(found).count("seen before") <= SHARED_LEVELS
    assert len(json.dumps(found)) < 4 * REPEATED_AGAIN_BYTES


def test_what_is_there_again_deeper_down_is_not_too_deep() -> None:
    """The server refuses more than 64 levels, however a value comes to them."""
    half: Any = ["end"]
    for _ in range(MAX_DEPTH // 2):
        half = [half]
    whole = half
    for _ in range(MAX_DEPTH // 2):
        whole = [whole]
    found = logged([half, whole, Rude()])
    assert found[0] == half
    assert "too deep" in json.dumps(found[1])
    assert "end" not in json.dumps(found[1])


def test_the_common_case_is_bounded() -> None:
    assert spare_parts(["x"] * SMALL_PARTS) == 0
    assert spare_parts(["x"] * (SMALL_PARTS + 1)) < 0
    assert spare_parts(["x" * LONG_CHARACTERS * SMALL_PARTS]) < 0
    assert spare_parts([["x"]] * (SMALL_PARTS // 2)) == 0
    assert spare_parts([["x"]] * (SMALL_PARTS // 2 + 1)) < 0
    assert spare_parts([Rude()]) < 0
    deep: Any = []
    for _ in range(SMALL_DEPTH):
        deep = [deep]
    assert spare_parts(deep) >= 0
    assert spare_parts([deep]) < 0


def test_data_of_any_number_of_parts_is_whole() -> None:
    rows = [{"n": number, "of": ["x", None, 1.5]} for number in range(LOG_PARTS)]
    assert json.loads(ENCODER.publish("orders", rows)[1])["value"] == rows
    assert (
        json.loads(ENCODER.log("m", metadata={"rows": rows[: LOG_PARTS // 2]})[1])["metadata"]["rows"]
        == rows[: LOG_PARTS // 2]
    )


def test_what_takes_little_is_left_as_it_is() -> None:
    row = {"id": 1, "name": "x" * LONG_CHARACTERS}
    assert logged([row] * 500) == [row] * 500
    assert is_bounded([row] * 500)
    assert not is_bounded(["y" * (REPEATED_BYTES + LONG_CHARACTERS)] * 3)


def test_data_is_whole_though_a_log_event_would_be_cut() -> None:
    value = ["x" * (2 * EVENT_BYTES), list(range(LOG_PARTS * 2)), {"y": "\ud800"}]
    found = json.loads(ENCODER.any(Publication(value)))["value"]
    assert found == [*value[:2], {"y": "?"}]


@pytest.mark.parametrize("size", [MIN_EVENT_BYTES, EVENT_BYTES])
@pytest.mark.parametrize("name", VALUES)
def test_a_log_event_is_no_larger_than_was_asked_for(name: str, size: int) -> None:
    encoder, value = Encoder("p", "s", size), VALUES[name]()
    rows: Any = [{"message": value, "a": value, "b": [value, value]}, {f"{n}": "\x02" * 2000 for n in range(2000)}]
    for text in (
        encoder.log(value, metadata={"a": value, "b": {"c": value}})[1],
        encoder.row(rows[0]),
        encoder.row(rows[1]),
        encoder.track("t", user={"id": value}, context={"x": value}, metrics={"y": [value] * 9})[1],
    ):
        assert len(text) <= size
        json.loads(text)
    assert CUTS[-1][0] * CUTS[-1][1] * 6 < MIN_EVENT_BYTES


def test_small_fields_survive_a_huge_one() -> None:
    found = json.loads(ENCODER.log("m" * 2_000_000, metadata={"order": 17, "dump": "d" * 2_000_000})[1])
    assert found["metadata"]["order"] == 17
    assert found["metadata"]["dump"].endswith("d… (2000000 characters)")
    assert found["message"].startswith("mmm")


def test_a_server_with_its_defaults_stores_what_was_cut(shared_server: RunningServer) -> None:
    fields = {"order": 17, "text": "é" * 3_000_000, "list": list(range(900_000))}
    with Client(shared_server.url, service="cut") as client:
        assert client.log("huge", metadata=fields)
        assert client.log_many([{"message": "m" * 3_000_000, "metadata": fields}, {"message": "row", **fields}]) == 2
        assert client.track("huge", context=fields)
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().last_error) == (4, "")
    assert len([row for row in shared_server.records() if row["value"]["service"] == "cut"]) == 3


def test_types_of_python_keep_their_form() -> None:
    made = {
        "node": Node(next=Record(1)),
        "enum": [Colour.RED, Level.LOUD],
        "ordered": OrderedDict(a=1),
        "user": UserDict({"b": 2}),
        "proxy": types.MappingProxyType({"c": 3}),
        "deque": deque([1, 2]),
        "space": types.SimpleNamespace(d=4),
        "decimal": Decimal("1.50"),
        "float": type("Float64", (float,), {})(1.5),
        "view": {"x": 1}.keys(),
    }
    assert logged(made) == {
        "node": {"name": "node", "next": {"inner": 1}, "others": []},
        "enum": ["red", "loud"],
        "ordered": {"a": 1},
        "user": {"b": 2},
        "proxy": {"c": 3},
        "deque": [1, 2],
        "space": {"d": 4},
        "decimal": "1.50",
        "float": 1.5,
        "view": ["x"],
    }


def test_an_object_s_text_is_cut_and_mappings_of_others_end() -> None:
    assert len(logged(Wordy())) < OBJECT_CHARACTERS + 100
    plain, _ = whole(Endless())
    assert len(json.dumps(plain)) < FOREIGN_PARTS * 200
    assert plain["…"] == "<too many>"
    assert logged(Broken()) == {"…": "<Broken: OSError>"}
    assert logged(1 << 4_000_000) == "<int: 4000001 bits>"


def test_an_argument_that_is_no_number_is_kept(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    bodies(server)
    logger = logging.Logger("client.values")
    with Client(server.url) as client:
        logger.addHandler(LoggingHandler(client))
        logger.info("%d left", "seven")
        assert client.flush() == 0
    ((event,),) = [body["events"] for body in bodies(server)]
    assert (event["message"], event["metadata"]["arguments"]) == ("%d left", ["seven"])
    assert "TypeError" in event["metadata"]["formatting"]
    assert "seven" in capsys.readouterr().err, "and reported, as by other handlers"


def test_a_stack_that_ends_does_not_raise_into_the_application(server: Scripted) -> None:
    logger = logging.Logger("client.values")
    logger.propagate = False
    with Client(server.url) as client:
        logger.addHandler(LoggingHandler(client))
        limit = sys.getrecursionlimit()
        logger.info("recursive %s", Recursive())
        assert sys.getrecursionlimit() == limit
        assert client.flush() == 0
        assert client.stats().delivered == 1
