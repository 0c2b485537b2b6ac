"""Fixtures for every test."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay._forebay import Engine
from forebay.server import api
from forebay.server.app import App
from forebay.server.config import Settings
from forebay.server.http.auth import Authenticator
from forebay.server.http.router import Route
from support.harness import RunningServer

pytest_plugins = ["forebay.testing"]

# A shell starts what it runs in the background with SIGINT ignored, and ignoring is inherited: commands that a test
# interrupts would not notice. A handler is not inherited.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# So does nohup with SIGHUP, which the tests themselves go on ignoring.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escapes lone surrogates in captured text: a parallel worker sends its reports as UTF-8."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


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


@pytest.fixture(scope="module")
def authenticated_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server that asks for tokens, for the tests of a module that do not mind what the others did."""
    running = RunningServer(tmp_path_factory.mktemp("server") / "data", auth=True)
    yield running.start()
    running.stop()


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    """Every route of the app."""

    async def collect() -> list[Route]:
        settings = Settings(data_dir=str(tmp_path_factory.mktemp("table") / "data"))
        engine = Engine(settings.data_dir, settings.engine_options())
        try:
            app = App(engine, settings, Authenticator(None))
            found = api.routes(app)
            await app.close()
            return found
        finally:
            engine.close()

    return asyncio.run(collect())
