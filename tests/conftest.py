"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import RunningServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers: `server("--flag", setting=value)`. All of them share one data directory, one after the other,
    unless `directory` names another; the ones still running are killed after the test."""
    started: list[RunningServer] = []

    def start(*flags: str, directory: str = "data", **settings: Any) -> RunningServer:
        running = RunningServer(tmp_path / directory, *flags, **settings)
        started.append(running)
        return running.start()

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for the tests of a module that do not mind what the others sent."""
    running = RunningServer(tmp_path_factory.mktemp("server") / "data").start()
    yield running
    running.stop()
