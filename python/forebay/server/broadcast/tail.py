"""One reader of a stream for many tails: what it reads is serialised once and sent to all of them.

A tail that stands elsewhere (it resumes, or has fallen behind) reads from the log by itself, at its own pace, until it
stands where the hub does. So nothing is kept for slow readers but what was handed to their connection already.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from forebay._forebay import Engine, Filter, Projects, TailChunk
from forebay.errors import ForebayError, Saturated, StorageUnavailable, StreamNotFound, Unauthorized
from forebay.server.broadcast.position import Position, written
from forebay.server.http.outlet import Outlet

if TYPE_CHECKING:
    from forebay.server.app import App

log = structlog.get_logger("forebay.tail")

MAX_WAIT_SECONDS = 0.1
"""Events of a busy stream wait up to this long to go out in one write."""

KEEP_ALIVE_SECONDS = 15.0
"""So that what stands between us and a client does not take a quiet tail for a dead one."""

CHUNK_RECORDS = 2000
CHUNK_BYTES = 256 << 10
"""Of one write: several of them fit what a reader may leave lying."""

STALL_SECONDS = 10.0
"""A reader that takes nothing for so long, while there is something for it, is disconnected."""

_PACE_SECONDS = 0.02

READ_RETRY_SECONDS = 1.0
"""After a read that failed and may succeed later: tails stay open, stand still and say why."""

RETRY_MILLISECONDS = 1000
"""When a browser comes back after a disconnection."""


class Choice(NamedTuple):
    """What tails have in common that share a hub."""

    stream: str
    identity: int
    expression: str | None
    projects: Projects | None


class Hub:
    """Reads a stream on, and sends what it reads to every tail that stands where it does."""

    def __init__(self, app: App, choice: Choice, predicate: Filter | None, position: Position) -> None:
        self.choice = choice
        self.position = position
        self.tails = 0
        self._engine: Engine = app.engine
        self._blocking: Callable[..., Awaitable[Any]] = app.blocking
        self.filter = predicate
        self._live: dict[Outlet, asyncio.Future[Position | None]] = {}
        self._moved = asyncio.Event()
        self._ending: bytes | None = None

    async def run(self) -> None:
        """Until the stream is deleted or the engine closes, or it is cancelled."""
        loop = asyncio.get_running_loop()
        sent = -MAX_WAIT_SECONDS
        try:
            while not self.ended:
                if not await self._due():
                    self._broadcast(f"id: {written(self.position)}\n: keep-alive\n\n".encode(), self.position)
                    continue
                await asyncio.sleep(max(0.0, sent + MAX_WAIT_SECONDS - loop.time()))
                sent = loop.time()
                await self._advance()
        except ForebayError as error:
            self.end(_reason(error))
        except Exception as error:
            log.exception("a tail failed", stream=self.choice.stream, error=str(error))
            self.end("internal")

    async def _due(self) -> bool:
        """Waits for a record; False when it is time for a sign of life."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        ticket = self._engine.watch(self.choice.stream, list(enumerate(self.position[1])), future)
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                await future
        except TimeoutError:
            return False
        finally:
            self._engine.unwatch(ticket)
        return True

    async def _advance(self) -> None:
        """Reads and sends until nothing is left of what was there."""
        while not self.ended:
            before = self.position
            try:
                chunk = await self._read(before, None)
            except StorageUnavailable as error:
                self._broadcast(_comment(error), before)
                await asyncio.sleep(READ_RETRY_SECONDS)
                continue
            self.position = chunk.position
            self._moved.set()
            self._moved = asyncio.Event()
            if chunk.records:
                self._broadcast(chunk.body, before)
            if not chunk.more:
                return

    async def _read(self, position: Position, until: list[int] | None) -> TailChunk:
        chunk: TailChunk = await self._blocking(
            self._engine.tail,
            self.choice.stream,
            position,
            CHUNK_RECORDS,
            CHUNK_BYTES,
            until,
            self.filter,
            self.choice.projects,
        )
        return chunk

    def _broadcast(self, piece: bytes, before: Position) -> None:
        for outlet in [outlet for outlet in self._live if outlet.full]:
            # It goes on by itself, from where all of them stand before this piece.
            self._live.pop(outlet).set_result(before)
        for outlet in self._live:
            outlet.send(piece)

    def end(self, why: str) -> None:
        """Ends every tail, and those that are about to join."""
        self._ending = _last_event(why)
        self._moved.set()
        while self._live:
            _outlet, leaving = self._live.popitem()
            leaving.set_result(None)

    @property
    def ended(self) -> bool:
        return self._ending is not None

    async def follow(self, outlet: Outlet, position: Position) -> None:
        """Sends one tail what comes after `position`, until its client is gone or stands still, or the stream ends."""
        outlet.send(f"retry: {RETRY_MILLISECONDS}\nid: {written(position)}\n\n".encode())
        while await self._catch_up(outlet, position):
            # Nothing was awaited since it was found to stand where the hub does.
            leaving: asyncio.Future[Position | None] = asyncio.get_running_loop().create_future()
            self._live[outlet] = leaving
            try:
                await asyncio.wait((leaving, outlet.gone), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._live.pop(outlet, None)
            behind = leaving.result() if leaving.done() else None
            if behind is None:
                break
            position = behind
        if self._ending is not None:
            outlet.send(self._ending)

    async def _catch_up(self, outlet: Outlet, position: Position) -> bool:
        """Brings one tail to where the hub stands; False when it has ended on the way."""
        try:
            while await self._room(outlet):
                if position == self.position:
                    return True
                ends = self.position[1]
                if all(here >= end for here, end in zip(position[1], ends, strict=True)):
                    # The hub is about to read what this one has seen already.
                    await self._next_move()
                    continue
                try:
                    chunk = await self._read(position, ends)
                except StorageUnavailable as error:
                    outlet.send(_comment(error))
                    await asyncio.sleep(READ_RETRY_SECONDS)
                    continue
                position = chunk.position
                if chunk.records:
                    outlet.send(chunk.body)
        except StreamNotFound as error:
            self.end(_reason(error))
        except ForebayError as error:
            # What this one wanted to read cannot be read now; the others stand elsewhere.
            outlet.send(_last_event(_reason(error)))
        return False

    async def _next_move(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                await self._moved.wait()

    async def _room(self, outlet: Outlet) -> bool:
        """Waits until the client takes more; False when there is nobody to send to any more."""
        loop = asyncio.get_running_loop()
        taken, since = outlet.taken, loop.time()
        while outlet.open and not self.ended and outlet.full:
            await asyncio.sleep(_PACE_SECONDS)
            if outlet.taken != taken:
                taken, since = outlet.taken, loop.time()
            elif loop.time() - since > STALL_SECONDS:
                outlet.cut()
        return outlet.open and not self.ended


def _last_event(why: str) -> bytes:
    return f'event: end\ndata: {{"reason":"{why}"}}\n\n'.encode()


def _comment(error: ForebayError) -> bytes:
    """A sign of life that browsers do not show (HTML Living Standard, 9.2.6), on one line."""
    return f": {error.name}: {' '.join(error.detail.split())}\n\n".encode()


def _reason(error: ForebayError) -> str:
    return "deleted" if isinstance(error, StreamNotFound) else error.name


class Hubs:
    """The hubs that have tails now."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._hubs: dict[Choice, tuple[Hub, asyncio.Task[None]]] = {}
        self._limit = max(1, app.settings.max_connections // 2)
        """Each tail keeps a connection, and the other half is for those who write."""
        self._tails = 0
        self._waits_for_the_end = False

    def filter_of(self, choice: Choice) -> Filter | None:
        """The compiled filter of a choice that a tail has made already."""
        found = self._hubs.get(choice)
        return None if found is None else found[0].filter

    def check_room(self) -> None:
        """
        Raises:
            Saturated: there are as many tails as there may be.
        """
        if self._tails >= self._limit:
            raise Saturated(f"there are {self._limit} tails already, half of the connections that the server takes")

    def dismiss(self, outlet: Outlet) -> None:
        """Ends one tail whose reader may not read any more. What it has not taken goes nowhere."""
        if outlet.full:
            outlet.cut()
            return
        outlet.send(_last_event(Unauthorized.name))
        outlet.close()

    async def serve(self, choice: Choice, predicate: Filter | None, position: Position, outlet: Outlet) -> None:
        """Sends one tail, from its start to its end."""
        hub = self._hub(choice, predicate)
        hub.tails += 1
        self._tails += 1
        try:
            await hub.follow(outlet, position)
        finally:
            self._tails -= 1
            hub.tails -= 1
            outlet.close()
            found = self._hubs.get(choice)
            if found is not None and found[0] is hub and hub.tails == 0:
                self._hubs.pop(choice)[1].cancel()

    def _hub(self, choice: Choice, predicate: Filter | None) -> Hub:
        found = self._hubs.get(choice)
        if found is not None and not found[0].ended:
            return found[0]
        if not self._waits_for_the_end:
            self._waits_for_the_end = True
            self._app.spawn(self._end_with_the_server())
        hub = Hub(self._app, choice, predicate, self._app.engine.position(choice.stream, False))
        if self._app.stopping.is_set() or hub.position[0] != choice.identity:
            hub.end("closed" if self._app.stopping.is_set() else "deleted")
        self._hubs[choice] = (hub, self._app.spawn(hub.run()))
        return hub

    async def _end_with_the_server(self) -> None:
        await self._app.stopping.wait()
        for hub, _task in self._hubs.values():
            hub.end("closed")
