"""The processors of the configuration: created when they are missing, never changed, and named when they differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from forebay._forebay import Engine
from forebay.errors import ConfigError
from forebay.server.config import Settings
from forebay.server.processors import ConfiguredProcessors

COUNT: dict[str, Any] = {
    "name": "count",
    "source": "orders",
    "sink": "counts",
    "operations": [
        {"type": "window", "windowType": "tumbling", "duration": 1000},
        {"type": "aggregate", "aggregation": "count"},
    ],
}
"""What is not given has its default."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    settings = Settings(data_dir=str(tmp_path / "data"))
    engine = Engine(settings.data_dir, settings.engine_options())
    engine.create_stream("orders", 1)
    yield engine
    engine.close()


def started(engine: Engine, *definitions: dict[str, Any]) -> ConfiguredProcessors:
    configured = ConfiguredProcessors(engine, definitions)
    configured.start()
    return configured


def test_one_that_is_missing_is_created_and_found_again(engine: Engine) -> None:
    with capture_logs() as logs:
        for _ in range(2):
            configured = started(engine, COUNT)
            assert (configured.is_complete, configured.problems()) == (True, [])
    assert [line["event"] for line in logs] == ["a processor of the configuration was created"]
    assert b'"name":"count"' in engine.processor("count")


def test_one_whose_function_there_is_not_is_waited_for(engine: Engine) -> None:
    mapped = COUNT | {"operations": [{"type": "map", "function": "score"}]}
    configured = started(engine, mapped)
    assert not configured.is_complete
    [problem] = configured.problems()
    assert 'operations[0].function: there is no function "score"' in problem
    # One that exists is not looked at again, whatever became of its function.
    assert started(engine, COUNT).is_complete
    other = started(engine, mapped)
    assert other.is_complete
    assert "'count' goes on as it was created" in other.problems()[0]


def test_one_that_differs_goes_on_as_it_is_and_is_named(engine: Engine) -> None:
    started(engine, COUNT)
    before = engine.processor("count")
    for change, part in (
        ({"sink": "elsewhere"}, "sink"),
        ({"config": {"parallelism": 2}}, "config"),
        ({"offset": "earliest"}, "offset"),
        ({"operations": [{"type": "filter", "predicate": "value.a > 1"}]}, "operations"),
    ):
        with capture_logs() as logs:
            configured = started(engine, COUNT | change)
        assert [(line["processor"], line["differs"]) for line in logs] == [("count", [part])]
        [problem] = configured.problems()
        assert f"'count' goes on as it was created, and not as the configuration has it now: {part}; forebay" in problem
        assert engine.processor("count") == before
    # A setting that is taken out of the file again is a difference, too.
    engine.delete_processor("count")
    started(engine, COUNT | {"config": {"parallelism": 2}})
    assert "config" in started(engine, COUNT).problems()[0]
    # One that is written out is none when it is the default.
    engine.delete_processor("count")
    assert started(engine, COUNT).problems() == []
    assert started(engine, COUNT | {"config": {"parallelism": 1}, "offset": "latest"}).problems() == []


def test_one_that_cannot_be_created_yet_is_tried_again(engine: Engine) -> None:
    early = COUNT | {"source": "later"}
    with capture_logs() as logs:
        configured = started(engine, early)
        configured.create()
    assert not configured.is_complete
    assert [line["event"] for line in logs] == ["a processor of the configuration is not created yet"]
    [problem] = configured.problems()
    assert problem.startswith("the processor 'count' of the configuration is not created yet: there is no stream")
    engine.create_stream("later", 1)
    configured.create()
    assert (configured.is_complete, configured.problems()) == (True, [])


def test_one_that_has_failed_is_named(engine: Engine) -> None:
    configured = started(engine, COUNT)
    engine.pause_processor("count")
    assert configured.problems() == [], "somebody paused it"
    engine.resume_processor("count")


@pytest.mark.parametrize(
    ("definitions", "message"),
    [
        ([{"name": "p"}], r"^processors\[0\]\.source: is missing$"),
        ([COUNT, COUNT | {"operations": [{}]}], r"^processors\[1\]\.operations\[0\]\.type: is missing$"),
        ([COUNT, COUNT], r"^processors\[1\]\.name: 'count' is the name of another one before it$"),
        (
            [COUNT | {"operations": [{"type": "filter", "predicate": "value.a >"}]}],
            r"^processors\[0\]\.operations\[0\]\.predicate: ",
        ),
        (
            [COUNT | {"sink": "orders"}],
            "^the processor 'count' of the configuration: sink: its records would come back",
        ),
    ],
)
def test_one_that_is_wrong_keeps_the_server_from_starting(
    engine: Engine, definitions: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        started(engine, *definitions)
