"""Searches under way: what ends them, and who waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import forebay
from forebay import errors
from forebay._forebay import SearchCancel
from forebay.embedded import search as embedded
from forebay.embedded.conditions import Conditions
from forebay.server.api.platform import logs
from forebay.server.broadcast.sessions import Sessions
from forebay.server.http.auth import ANONYMOUS, Authenticator
from forebay.server.http.deliveries import SMALL_BYTES, Deliveries
from forebay.server.searches import THREADS, Searches
from support.harness import event

PATIENCE = 60.0


class Client:
    """A request's connection."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.request: Any = SimpleNamespace(principal=ANONYMOUS, protocol=self)

    async def client_disconnect(self) -> None:
        await self.gone.wait()


class Scene:
    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.authenticator = Authenticator(None)
        self.sessions = Sessions(self.authenticator)
        self.deliveries = Deliveries()
        self.searches = Searches(self.sessions, self.deliveries, self.stopping)
        self.began = threading.Semaphore(0)

    def endless(self, cancel: SearchCancel) -> bytes:
        """Searches until it is cancelled, as one of the engine."""
        self.began.release()
        deadline = time.monotonic() + PATIENCE
        while not cancel.is_cancelled:
            assert time.monotonic() < deadline, "it is not cancelled"
            time.sleep(0.001)
        raise errors.Closed("it was cancelled")

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.began.acquire, timeout=PATIENCE)


def played(play: Callable[[Scene], Any]) -> None:
    async def run() -> None:
        scene = Scene()
        try:
            await asyncio.wait_for(play(scene), PATIENCE)
        finally:
            scene.searches.close()

    asyncio.run(run())


def test_an_answer_is_what_the_search_returns() -> None:
    async def play(scene: Scene) -> None:
        answer = await scene.searches.answer(Client().request, lambda _cancel: b"{}")
        assert (answer.status, answer.body, answer.room) == (200, b"{}", None)
        large = await scene.searches.answer(Client().request, lambda _cancel: b"x" * (SMALL_BYTES + 1))
        assert large.room is not None
        assert large.room.size == SMALL_BYTES + 1

    played(play)


def test_it_ends_when_its_client_leaves() -> None:
    async def play(scene: Scene) -> None:
        client = Client()
        asked = asyncio.ensure_future(scene.searches.answer(client.request, scene.endless))
        await scene.has_begun()
        client.gone.set()
        with pytest.raises(errors.Closed):
            await asked

    played(play)


def test_it_ends_with_the_server() -> None:
    async def play(scene: Scene) -> None:
        asked = asyncio.ensure_future(scene.searches.answer(Client().request, scene.endless))
        await scene.has_begun()
        scene.stopping.set()
        with pytest.raises(errors.Closed):
            await asked

    played(play)


def test_it_ends_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(scene: Scene) -> None:
        asked = asyncio.ensure_future(scene.searches.answer(Client().request, scene.endless))
        await scene.has_begun()
        monkeypatch.setattr(scene.authenticator, "known", lambda _digest: None)
        scene.sessions.recheck()
        with pytest.raises(errors.Unauthorized, match="revoked"):
            await asked

    played(play)


def test_it_ends_when_its_request_is_given_up() -> None:
    async def play(scene: Scene) -> None:
        asked = asyncio.ensure_future(scene.searches.answer(Client().request, scene.endless))
        await scene.has_begun()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    played(play)


def test_further_ones_wait_for_their_turn() -> None:
    async def play(scene: Scene) -> None:
        clients = [Client() for _ in range(THREADS)]
        running = [asyncio.ensure_future(scene.searches.answer(each.request, scene.endless)) for each in clients]
        for _ in clients:
            await scene.has_begun()
        waiting = asyncio.ensure_future(scene.searches.answer(Client().request, lambda _cancel: b"{}"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        clients[0].gone.set()
        assert (await waiting).body == b"{}"
        for client in clients:
            client.gone.set()
        assert all(isinstance(each, errors.Closed) for each in await asyncio.gather(*running, return_exceptions=True))

    played(play)


def test_a_search_beyond_its_budget_says_how_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "SEARCH_SECONDS", 0.0)
    monkeypatch.setattr(embedded, "SEARCH_SECONDS", 0.0)
    why = r"too broad: after \d+\.\d s it had read [\d,]+ events of [\d,]+ bytes, found [\d,]+, and was ended; give"
    with forebay.open(tmp_path / "data") as log:
        log.append("logs", [event(str(number)) for number in range(10_000)])
        request: Any = SimpleNamespace(principal=ANONYMOUS)
        engine = log._engine
        with pytest.raises(errors.InvalidRequest, match=why):
            logs._stats(engine, request, Conditions(), "level", SearchCancel())
        with pytest.raises(errors.InvalidRequest, match=why):
            list(log.search())
        with pytest.raises(errors.InvalidRequest, match=why):
            log.search().stats("level")


def test_an_interrupted_search_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """^C ends `thread.join`, and the engine hears of it."""
    cancelled: list[SearchCancel] = []

    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        if not cancelled:
            cancelled.append(SearchCancel())
            raise KeyboardInterrupt
        joined(thread, timeout)

    joined = threading.Thread.join
    with forebay.open(tmp_path / "data") as log:
        log.append("logs", [event()])
        monkeypatch.setattr(threading.Thread, "join", join)
        with pytest.raises(KeyboardInterrupt):
            list(log.search())
        assert len(list(log.search())) == 1
