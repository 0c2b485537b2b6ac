"""`log.processors`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

import forebay
from forebay import errors
from forebay.processors.shapes import AggregationName
from support.harness import wait_for
from support.processors import CONFIG, EVERY_SETTING

COUNT = (
    forebay.pipeline("count", source="orders")
    .filter("value.amount > 10")
    .window.tumbling(minutes=5)
    .aggregate("count", ("sum", "amount"), by="user")
    .sink("counts")
)
START = datetime(2025, 1, 15, 10, tzinfo=UTC)


def order(user: str, amount: int, seconds: float) -> forebay.Record:
    return forebay.Record({"user": user, "amount": amount}, timestamp=START + timedelta(seconds=seconds))


ORDERS = [order("a", 20, 1), order("b", 30, 2), order("a", 5, 3), order("a", 40, 299.999), order("c", 50, 300)]
RESULTS = [
    {
        "windowStart": "2025-01-15T10:00:00.000Z",
        "windowEnd": "2025-01-15T10:05:00.000Z",
        "key": key,
        "count": count,
        "sum_amount": total,
    }
    for key, count, total in (("a", 2, 60), ("b", 1, 30))
]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[forebay.Log]:
    with forebay.open(tmp_path / "log") as log:
        log.create_stream("orders")
        yield log


def processed(log: forebay.Log, records: int) -> None:
    wait_for("the processor", lambda: log.processors.metrics("count").metrics.events_processed == records)


@pytest.mark.slow
def test_a_pipeline_runs_and_goes_on_after_the_log_was_closed(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "log") as log:
        log.create_stream("orders")
        made = log.processors.create(COUNT)
        assert (made.name, made.status, made.source, made.sink) == ("count", "running", "orders", "counts")
        log.append("orders", ORDERS[:3])
        processed(log, 3)
    with forebay.open(tmp_path / "log") as log:
        assert log.processors["count"].processor_id == made.processor_id
        log.append("orders", ORDERS[3:])
        wait_for("the results", lambda: len(log.read("counts", 0)) == len(RESULTS))
        assert list(log.read("counts", 0)) == RESULTS
        assert log.read("counts", 0).key(0) == b"a"
        processed(log, len(ORDERS))
        metrics = log.processors.metrics("count")
        assert (metrics.metrics.results, metrics.metrics.lag) == (2, 0)
        newest = metrics.windows[0]
        assert (newest.window_start, newest.events_count, newest.final) == ("2025-01-15T10:05:00.000Z", 1, False)


def test_a_processor_is_found_paused_and_deleted(log: forebay.Log) -> None:
    assert repr(log.processors) == "<Processors: none>"
    made = log.processors.create(COUNT.definition())
    assert repr(log.processors) == "<Processors: count>"
    assert [each.name for each in log.processors] == [each.name for each in log.processors.list()] == ["count"]
    assert "count" in log.processors
    assert made.processor_id in log.processors
    assert "other" not in log.processors
    assert log.processors.pause("count").status == "paused"
    log.append("orders", ORDERS)
    assert log.processors["count"].metrics.lag == len(ORDERS)
    assert log.processors.resume(made.processor_id).status == "running"
    processed(log, len(ORDERS))
    log.processors.delete("count")
    assert log.processors.list() == []
    for call in (log.processors.pause, log.processors.resume, log.processors.delete, log.processors.metrics):
        with pytest.raises(errors.ProcessorNotFound):
            call("count")
    with pytest.raises(errors.ProcessorNotFound):
        log.processors["count"]


def test_one_takes_the_place_of_another(log: forebay.Log) -> None:
    made = log.processors.create(COUNT)
    log.append("orders", ORDERS)
    processed(log, len(ORDERS))
    definition = COUNT.definition() | {"name": "larger"}
    definition["operations"][0] = {"type": "filter", "predicate": "value.amount > 100"}
    larger = log.processors.create(definition, replace="count")
    assert (larger.processor_id, larger.metrics.events_processed) == (made.processor_id, len(ORDERS))
    assert [each.name for each in log.processors] == ["larger"]
    wider = forebay.pipeline("wider", source="orders").window.tumbling(hours=1).aggregate("count").sink("wide")
    with pytest.raises(errors.Conflict, match="the windows, aggregations or groups differ"):
        log.processors.create(wider, replace="larger")
    assert log.processors.create(wider, replace="larger", state="discard").name == "wider"
    with pytest.raises(errors.ProcessorNotFound):
        log.processors.create(COUNT, replace="larger")


def test_a_preview_shows_what_would_be(log: forebay.Log) -> None:
    log.append("orders", ORDERS)
    preview = log.processors.preview(COUNT)
    assert (preview.records_read, preview.matched, preview.late, preview.failures) == (5, 4, 0, [])
    assert [result.value for result in preview.results][:2] == RESULTS
    assert log.processors.preview(COUNT, records=2).records_read == 2
    assert log.processors.list() == []
    assert {stream.name for stream in log.streams()} == {"orders"} | {"logs", "events", "analytics"}


def test_a_definition_that_is_wrong_names_the_operation(log: forebay.Log) -> None:
    with pytest.raises(errors.Malformed, match=r"^operations\[0\]\.predicate: "):
        log.processors.create(COUNT.definition() | {"operations": [{"type": "filter", "predicate": "value.a >"}]})
    with pytest.raises(errors.Malformed, match=r"^sink: is missing"):
        log.processors.create(forebay.pipeline("p", source="orders").filter("value.a > 1"))
    with pytest.raises(errors.StreamNotFound):
        log.processors.create(forebay.pipeline("p", source="nothing").filter("value.a > 1").sink("t"))
    with pytest.raises(errors.InvalidRequest, match="the definition cannot be written as JSON"):
        log.processors.create({"name": object()})
    log.processors.create(COUNT)
    with pytest.raises(errors.ProcessorAlreadyExists):
        log.processors.create(COUNT.sink("others"))


@pytest.mark.parametrize("name", get_args(AggregationName))
def test_the_engine_knows_every_aggregation_that_is_documented(log: forebay.Log, name: str) -> None:
    one: Any = "count" if name == "count" else (name, "amount")
    log.processors.create(forebay.pipeline(name, source="orders").window.tumbling(days=1).aggregate(one).sink("t"))


def test_the_engine_knows_every_setting(log: forebay.Log) -> None:
    made = log.processors.create(COUNT.late_to("late").config(**EVERY_SETTING))
    assert {name: made.config[name] for name in CONFIG} == CONFIG


def test_a_closed_log_has_no_processors(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "log") as log:
        kept = log.processors
    for call in (kept.list, lambda: kept.create(COUNT), lambda: log.processors.list()):
        with pytest.raises(errors.Closed):
            call()
