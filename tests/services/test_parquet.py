"""Exports as Parquet, opened by what people open such files with."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.conftest import REQUIRED
from support.harness import RunningServer, batch, event, run, serving

pytestmark = pytest.mark.slow

EVENTS = 5_000


def required(name: str) -> Any:
    """The package, whose absence is a reason to skip the test, or in continuous integration a failure."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(f"{name} cannot be imported ({error}), and {REQUIRED} is 'required'")
        pytest.skip(f"{name} cannot be imported: {error}")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    required("pyarrow")
    with serving(tmp_path_factory.mktemp("parquet") / "data") as opened:
        for start in range(0, EVENTS, 1000):
            events = [
                event(
                    f"größe {n}",
                    f"p{n % 3}",
                    timestamp=f"2025-12-04T12:15:30.{n:06}Z",
                    **({"metadata": {"n": n, "user_id": n % 5, "text": 'say "so", =1'}} if n % 2 else {}),
                )
                for n in range(start, start + 1000)
            ]
            opened.drain(batch(*events)).raise_for_status()
        yield opened


@pytest.fixture(scope="module")
def exported(running: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "events.parquet"
    ended = run("export", "-o", path, "--url", running.url)
    assert ended.returncode == 0, ended.stderr
    return path


def test_duckdb_reads_times_texts_and_json(exported: Path) -> None:
    duckdb = required("duckdb")
    with duckdb.connect() as connection:
        ask: Callable[[str], list[Any]] = lambda sql: connection.execute(sql, [str(exported)]).fetchall()  # noqa: E731
        connection.execute("SET TimeZone = 'UTC'")
        assert ask("SELECT count(*), count(DISTINCT event_id) FROM read_parquet(?)") == [(EVENTS, EVENTS)]
        [(first, last)] = ask("SELECT epoch_us(min(timestamp)), epoch_us(max(timestamp)) FROM read_parquet(?)")
        begin = int(datetime(2025, 12, 4, 12, 15, 30, tzinfo=UTC).timestamp()) * 1_000_000
        assert (first, last) == (begin, begin + EVENTS - 1)
        kinds = dict(row[:2] for row in ask("DESCRIBE SELECT * FROM read_parquet(?)"))
        assert kinds.pop("timestamp") == "TIMESTAMP WITH TIME ZONE"
        assert set(kinds.values()) == {"VARCHAR"}
        by_project = "SELECT project_id, count(*) FROM read_parquet(?) GROUP BY 1 ORDER BY 1"
        assert ask(by_project) == [(f"p{p}", len(range(p, EVENTS, 3))) for p in range(3)]
        assert ask("SELECT message, user_id FROM read_parquet(?) WHERE message = 'größe 7'") == [("größe 7", "2")]
        assert ask("SELECT count(*) FROM read_parquet(?) WHERE metadata IS NULL AND user_id IS NULL") == [
            (EVENTS // 2,)
        ]


def test_pandas_reads_times_and_texts(exported: Path) -> None:
    pandas = required("pandas")
    frame = pandas.read_parquet(exported)
    assert len(frame) == EVENTS
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
    assert frame["timestamp"].max() == pandas.Timestamp("2025-12-04T12:15:30.004999Z")
    odd = frame[frame["metadata"].notna()]
    assert sorted(json.loads(text)["n"] for text in odd["metadata"]) == list(range(1, EVENTS, 2))
    assert json.loads(odd["metadata"].iloc[0])["text"] == 'say "so", =1'
