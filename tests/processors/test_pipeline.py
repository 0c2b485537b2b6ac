"""The vocabulary gives the definitions that the API documents."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from forebay.errors import InvalidRequest
from forebay.processors.function import function
from forebay.processors.pipeline import Pipeline, pipeline
from forebay.processors.shapes import ProcessorDefinition
from support.processors import CONFIG, EVERY_SETTING

BEGUN = pipeline("p", source="s")
UNTYPED: Any = BEGUN
"""For arguments that a type checker would refuse."""

SEED: dict[str, Any] = {
    "name": "fraud-detection",
    "source": "transactions",
    "operations": [
        {"type": "filter", "predicate": "value.amount > 1000"},
        {"type": "map", "function": "enrichWithUserData"},
        {"type": "window", "windowType": "tumbling", "duration": 300000},
        {"type": "aggregate", "aggregation": "count", "groupBy": "userId"},
    ],
    "sink": "fraud-alerts",
    "config": {"parallelism": 4, "checkpointInterval": 60000},
}


def fraud() -> Pipeline:
    return (
        pipeline("fraud-detection", source="transactions")
        .filter("value.amount > 1000")
        .map("enrichWithUserData")
        .window.tumbling(minutes=5)
        .aggregate("count", by="userId")
        .sink("fraud-alerts")
        .config(parallelism=4, checkpoint_interval=timedelta(minutes=1))
    )


def test_the_documented_pipeline_is_the_documented_definition() -> None:
    assert json.dumps(fraud().definition()) == json.dumps(SEED)


def test_a_function_stands_for_its_name() -> None:
    @function("score")
    def score(values: list[Any]) -> list[Any]:
        return values

    begun = pipeline("p", source="s")
    assert begun.map(score) == begun.map("score")


def test_the_documented_definition_is_the_example_of_its_shape() -> None:
    _, components = msgspec.json.schema_components([ProcessorDefinition])
    fields = components["ProcessorDefinition"]["properties"]
    assert {name: fields[name]["examples"][0] for name in SEED} == SEED
    assert msgspec.to_builtins(msgspec.convert(SEED, ProcessorDefinition)).keys() >= SEED.keys()


@pytest.mark.parametrize(
    ("made", "operation"),
    [
        (
            BEGUN.window.tumbling(timedelta(minutes=1)),
            {"type": "window", "windowType": "tumbling", "duration": 60_000},
        ),
        (
            BEGUN.window.tumbling(days=1, hours=2, minutes=3, seconds=4, milliseconds=5),
            {"type": "window", "windowType": "tumbling", "duration": 93_784_005},
        ),
        (
            BEGUN.window.sliding(minutes=1.5, every=timedelta(seconds=30)),
            {"type": "window", "windowType": "sliding", "duration": 90_000, "slide": 30_000},
        ),
        (BEGUN.window.session(minutes=30), {"type": "window", "windowType": "session", "gap": 1_800_000}),
        (
            BEGUN.window.session(gap=timedelta(seconds=1)),
            {"type": "window", "windowType": "session", "gap": 1_000},
        ),
        (BEGUN.aggregate("count"), {"type": "aggregate", "aggregation": "count"}),
        (
            BEGUN.aggregate(("sum", "amount"), by=["country", "user.id"]),
            {"type": "aggregate", "aggregation": "sum", "field": "amount", "groupBy": ["country", "user.id"]},
        ),
        (
            BEGUN.aggregate("count", ("p95", "latency"), by="user"),
            {
                "type": "aggregate",
                "aggregations": [{"aggregation": "count"}, {"aggregation": "p95", "field": "latency"}],
                "groupBy": "user",
            },
        ),
    ],
)
def test_each_operation(made: Pipeline, operation: dict[str, Any]) -> None:
    assert made.definition()["operations"] == [operation]


def test_every_setting_has_its_field() -> None:
    made = BEGUN.config(**EVERY_SETTING).late_to("late")
    assert made.definition()["config"] == CONFIG
    # What is not named stays.
    assert made.config(parallelism=3).definition()["config"] == made.definition()["config"] | {"parallelism": 3}


def test_where_it_begins_is_said_only_when_it_is_chosen() -> None:
    assert "offset" not in BEGUN.definition()
    assert pipeline("p", source="s", offset="earliest").definition()["offset"] == "earliest"


def test_a_pipeline_never_changes() -> None:
    begun = pipeline("p", source="s").filter("value.a > 1")
    before = begun.definition()
    begun.filter("value.b > 1")
    begun.config(parallelism=2)
    begun.sink("t")
    changed = begun.definition()
    changed["operations"].clear()
    assert begun.definition() == before
    assert begun == Pipeline(before)
    assert begun != begun.sink("t")


def test_a_pipeline_shows_its_steps() -> None:
    assert repr(fraud()) == (
        "<Pipeline 'fraud-detection': transactions | filter value.amount > 1000 | map enrichWithUserData | "
        "tumbling 5 min | count by userId | fraud-alerts>"
    )
    made = BEGUN.window.sliding(hours=1, every=timedelta(milliseconds=1500)).aggregate(
        "count", ("sum", "a"), by=["b", "c"]
    )
    assert repr(made) == "<Pipeline 'p': s | sliding 1 h every 1500 ms | count, sum(a) by b, c>"
    assert repr(BEGUN.window.session(days=2)) == "<Pipeline 'p': s | session 2 d>"
    # The engine has not looked at a definition that somebody wrote by hand.
    assert repr(Pipeline({"operations": [{"type": "nothing"}, {}]})) == "<Pipeline None: None | nothing | None>"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: UNTYPED.window.tumbling(),
            r"^tumbling\(\) takes one duration: a timedelta, or units such as minutes=5$",
        ),
        (lambda: UNTYPED.window.tumbling(timedelta(seconds=1), seconds=1), "takes one duration"),
        (
            lambda: UNTYPED.window.tumbling(seconds=0.0001),
            "^tumbling\\(\\) is 0:00:00.000100, which is not a whole number",
        ),
        (lambda: UNTYPED.window.session(300), "^session\\(\\) is 300, which is not a datetime.timedelta$"),
        (lambda: UNTYPED.window.sliding(hours=1, every=60), "^every is 60, which is not a datetime.timedelta$"),
        (lambda: UNTYPED.config(idle_timeout=10), "^idle_timeout is 10, which is not a datetime.timedelta$"),
        (lambda: UNTYPED.aggregate(), "needs an aggregation"),
        (lambda: UNTYPED.aggregate(("sum", "a", "b")), "is neither the name of an aggregation nor"),
        (lambda: UNTYPED.aggregate(7), "^7 is neither"),
    ],
)
def test_what_has_no_meaning_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        wrong()


def test_an_unknown_unit_is_an_unknown_argument() -> None:
    wrong: Any = BEGUN.window
    with pytest.raises(TypeError, match="minute"):
        wrong.tumbling(minute=5)
