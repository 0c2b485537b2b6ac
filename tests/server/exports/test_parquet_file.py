"""Parquet files: what stands in them, read by pyarrow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

import forebay
from forebay._forebay import SearchCancel
from forebay.embedded.conditions import Conditions, Reading
from forebay.embedded.found import Step
from forebay.errors import InvalidRequest
from forebay.server.exports.formats import check_available
from support.harness import event

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

EVENTS = 1_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Any]:
    with forebay.open(tmp_path / "data") as opened:
        opened.append(
            "logs",
            [
                event(f"größe {number}", f"p{number % 3}", timestamp=f"2025-12-04T12:15:30.{number:06}Z")
                | ({"metadata": {"n": number, "user_id": "=1"}} if number % 2 else {})
                for number in range(EVENTS)
            ],
        )
        yield opened


def written(log: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Writes all of the log in steps and groups that are small; the room that was asked for."""
    from forebay.server.exports import parquet_file

    monkeypatch.setattr(parquet_file, "STEP_BYTES", 4 << 10)
    monkeypatch.setattr(parquet_file, "GROUP_BYTES", 20 << 10)
    asked: list[int] = []
    stream, begin = log._engine.position("logs", True)
    reading = Reading(stream, begin, log._engine.position("logs", False)[1])
    file = parquet_file.ParquetFile(path, asked.append)
    done = False
    while not done:
        told = file.step(log._engine, Conditions(), 1.0, reading, b"", SearchCancel())
        step = msgspec.json.decode(told, type=Step)
        reading, done = step.position, step.done
    assert file.sync() == 0, "nothing can be relied on before its end"
    assert file.finish() == path.stat().st_size
    file.close()
    return sum(asked)


def test_each_event_is_a_row_of_columns(log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.parquet"
    assert written(log, path, monkeypatch) > 50_000
    file = parquet.ParquetFile(path)
    assert file.num_row_groups > 2, "a group is held in memory, so its size is bounded"
    table = file.read()
    assert table.num_rows == EVENTS
    assert table.schema.field("timestamp").type == pyarrow.timestamp("us", tz="UTC")
    assert all(field.type == pyarrow.string() for field in table.schema if field.name != "timestamp")
    table.validate(full=True)
    rows = {row["message"]: row for row in table.to_pylist()}
    row = rows["größe 7"]
    assert row.pop("event_id").startswith("evt_")
    assert row == {
        "timestamp": datetime(2025, 12, 4, 12, 15, 30, 7, tzinfo=UTC),
        "level": "info",
        "service": "api-gateway",
        "project_id": "p1",
        "message": "größe 7",
        "request_id": None,
        "user_id": "=1",
        "metadata": '{"n":7,"user_id":"=1"}',
    }
    assert (rows["größe 8"]["user_id"], rows["größe 8"]["metadata"]) == (None, None)


def test_without_pyarrow_it_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    check_available("parquet")
    # None in the table of modules is what an import that cannot be found leaves.
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InvalidRequest, match=r"pyarrow.*pip install 'forebay\[arrow\]'"):
        check_available("parquet")
    check_available("csv")
