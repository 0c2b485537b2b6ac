"""One reader of a stream for many tails: what it reads is serialised once and sent to all of them.

A tail that stands elsewhere (it resumes, or has fallen behind) reads from the log by itself, at its own pace, until it
stands where the broadcaster does. So nothing is kept for slow readers but what was handed to their connection already.
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
from forebay.server.http.stream_writer import StreamWriter

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
    """What tails have in common that share a broadcaster."""

    stream: str
    identity: int
    expression: str | None
    projects: Projects | None


class TailBroadcaster:
    """Reads a stream on, and sends what it reads to every tail that stands where it does."""

    def __init__(self, app: App, choice: Choice, predicate: Filter | None, position: Position) -> None:
        self.choice = choice
        self.position = position
        self.tails = 0
        self._engine: Engine = app.engine
        self._blocking: Callable[..., Awaitable[Any]] = app.blocking
        self.filter = predicate
        self._live: dict[StreamWriter, asyncio.Future[Position | None]] = {}
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
        for writer in [writer for writer in self._live if writer.full]:
            # It goes on by itself, from where all of them stand before this piece.
            self._live.pop(writer).set_result(before)
        for writer in self._live:
            writer.send(piece)

    def end(self, why: str) -> None:
        """Ends every tail, and those that are about to join."""
        self._ending = _last_event(why)
        self._moved.set()
        while self._live:
            _writer, leaving = self._live.popitem()
            leaving.set_result(None)

    @property
    def ended(self) -> bool:
        return self._ending is not None

    async def follow(self, writer: StreamWriter, position: Position) -> None:
        """Sends one tail what comes after `position`, until its client is gone or stands still, or the stream ends."""
        writer.send(f"retry: {RETRY_MILLISECONDS}\nid: {written(position)}\n\n".encode())
        while await self._catch_up(writer, position):
            # Nothing was awaited since it was found to stand where the broadcaster does.
            leaving: asyncio.Future[Position | None] = asyncio.get_running_loop().create_future()
            self._live[writer] = leaving
            try:
                await asyncio.wait((leaving, writer.gone), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._live.pop(writer, None)
            behind = leaving.result() if leaving.done() else None
            if behind is None:
                break
            position = behind
        if self._ending is not None:
            writer.send(self._ending)

    async def _catch_up(self, writer: StreamWriter, position: Position) -> bool:
        """Brings one tail to where the broadcaster stands; False when it has ended on the way."""
        try:
            while await self._room(writer):
                if position == self.position:
                    return True
                ends = self.position[1]
                if all(here >= end for here, end in zip(position[1], ends, strict=True)):
                    # The broadcaster is about to read what this one has seen already.
                    await self._next_move()
                    continue
                try:
                    chunk = await self._read(position, ends)
                except StorageUnavailable as error:
                    writer.send(_comment(error))
                    await asyncio.sleep(READ_RETRY_SECONDS)
                    continue
                position = chunk.position
                if chunk.records:
                    writer.send(chunk.body)
        except StreamNotFound as error:
            self.end(_reason(error))
        except ForebayError as error:
            # What this one wanted to read cannot be read now; the others stand elsewhere.
            writer.send(_last_event(_reason(error)))
        return False

    async def _next_move(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                await self._moved.wait()

    async def _room(self, writer: StreamWriter) -> bool:
        """Waits until the client takes more; False when there is nobody to send to any more."""
        loop = asyncio.get_running_loop()
        taken, since = writer.taken, loop.time()
        while writer.open and not self.ended and writer.full:
            await asyncio.sleep(_PACE_SECONDS)
            if writer.taken != taken:
                taken, since = writer.taken, loop.time()
            elif loop.time() - since > STALL_SECONDS:
                writer.cut()
        return writer.open and not self.ended


def _last_event(why: str) -> bytes:
    return f'event: end\ndata: {{"reason":"{why}"}}\n\n'.encode()


def _comment(error: ForebayError) -> bytes:
    """A sign of life that browsers do not show (HTML Living Standard, 9.2.6), on one line."""
    return f": {error.name}: {' '.join(error.detail.split())}\n\n".encode()


def _reason(error: ForebayError) -> str:
    return "deleted" if isinstance(error, StreamNotFound) else error.name


class TailBroadcasters:
    """The broadcasters that have tails now."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._broadcasters: dict[Choice, tuple[TailBroadcaster, asyncio.Task[None]]] = {}
        self._limit = max(1, app.settings.max_connections // 2)
        """Each tail keeps a connection, and the other half is for those who write."""
        self._tails = 0
        self._waits_for_the_end = False

    def filter_of(self, choice: Choice) -> Filter | None:
        """The compiled filter of a choice that a tail has made already."""
        found = self._broadcasters.get(choice)
        return None if found is None else found[0].filter

    def check_room(self) -> None:
        """
        Raises:
            Saturated: there are as many tails as there may be.
        """
        if self._tails >= self._limit:
            raise Saturated(f"there are {self._limit} tails already, half of the connections that the server takes")

    def dismiss(self, writer: StreamWriter) -> None:
        """Ends one tail whose reader may not read any more. What it has not taken goes nowhere."""
        if writer.full:
            writer.cut()
            return
        writer.send(_last_event(Unauthorized.name))
        writer.close()

    async def serve(self, choice: Choice, predicate: Filter | None, position: Position, writer: StreamWriter) -> None:
        """Sends one tail, from its start to its end."""
        broadcaster = self._broadcaster(choice, predicate)
        broadcaster.tails += 1
        self._tails += 1
        try:
            await broadcaster.follow(writer, position)
        finally:
            self._tails -= 1
            broadcaster.tails -= 1
            writer.close()
            found = self._broadcasters.get(choice)
            if found is not None and found[0] is broadcaster and broadcaster.tails == 0:
                self._broadcasters.pop(choice)[1].cancel()

    def _broadcaster(self, choice: Choice, predicate: Filter | None) -> TailBroadcaster:
        found = self._broadcasters.get(choice)
        if found is not None and not found[0].ended:
            return found[0]
        if not self._waits_for_the_end:
            self._waits_for_the_end = True
            self._app.spawn(self._end_with_the_server())
        broadcaster = TailBroadcaster(self._app, choice, predicate, self._app.engine.position(choice.stream, False))
        if self._app.stopping.is_set() or broadcaster.position[0] != choice.identity:
            broadcaster.end("closed" if self._app.stopping.is_set() else "deleted")
        self._broadcasters[choice] = (broadcaster, self._app.spawn(broadcaster.run()))
        return broadcaster

    async def _end_with_the_server(self) -> None:
        await self._app.stopping.wait()
        for broadcaster, _task in self._broadcasters.values():
            broadcaster.end("closed")
