"""A call that hangs in the engine, as on a disk that answers nothing, costs who waits for it no more than a minute."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay import errors
from forebay._forebay import Engine
from forebay.server.app import READ_THREADS, App
from forebay.server.config import Settings
from forebay.server.http.auth import Authenticator

pytestmark = pytest.mark.slow


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[tuple[Engine, Settings]]:
    settings = Settings(data_dir=str(tmp_path / "data"))
    engine = Engine(settings.data_dir, settings.engine_options())
    yield engine, settings
    engine.close()


def test_who_waits_for_a_disk_that_hangs_is_told_so(
    engine: tuple[Engine, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.server.app.BLOCKING_SECONDS", 0.05)
    answers = threading.Event()
    ran: list[int] = []

    async def run() -> None:
        app = App(*engine, Authenticator(None))
        hanging = [asyncio.create_task(app.blocking(answers.wait)) for _ in range(READ_THREADS)]
        behind = [asyncio.create_task(app.blocking(ran.append, number)) for number in range(3)]
        done, waiting = await asyncio.wait([*hanging, *behind], timeout=20)
        assert not waiting
        assert all(isinstance(task.exception(), errors.Timeout) for task in done)
        answers.set()
        monkeypatch.setattr("forebay.server.app.BLOCKING_SECONDS", 20.0)
        assert await app.blocking(lambda: "it answers again") == "it answers again"
        await app.close()

    asyncio.run(run())
    assert ran == [], "what had not begun is given up"
