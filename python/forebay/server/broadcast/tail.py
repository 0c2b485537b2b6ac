"""One reader of a stream serves many tails: what it reads is encoded once and sent to all of them.

A tail at another position, because it resumes or has fallen behind, reads the log itself, at its own pace, until it has
caught up with the broadcaster. So nothing is kept for slow readers beyond what their connection already has.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

import structlog

from forebay._forebay import Engine, Filter, Projects, TailChunk
from forebay.errors import ForebayError, Saturated, StorageUnavailable, StreamNotFound, Unauthorized
from forebay.server.broadcast.position import Position, written
from forebay.server.http.stream_writer import StreamWriter

if TYPE_CHECKING:
    from forebay.server.broadcast.background import Background

log = structlog.get_logger("forebay.tail")

MAX_WAIT_SECONDS = 0.1
"""How long events of a busy stream are gathered for one write."""

KEEP_ALIVE_SECONDS = 15.0
"""How often a quiet tail gets a comment, so that proxies do not take it for dead."""

CHUNK_RECORDS = 2000
CHUNK_BYTES = 256 << 10
"""The largest write. Several fit in `MAX_OUTSTANDING_BYTES`."""

STALL_SECONDS = 10.0
"""A reader that takes nothing for so long, while events wait for it, is disconnected."""

_PACE_SECONDS = 0.02

READ_RETRY_SECONDS = 1.0
"""The pause after a read that failed and may succeed later. The tails stay open and get a comment with the reason."""

RETRY_MILLISECONDS = 1000
"""How long a browser waits before it reconnects."""


class Choice(NamedTuple):
    """Tails that are equal in this share a broadcaster."""

    stream: str
    identity: int
    expression: str | None
    projects: Projects | None


class TailBroadcaster:
    """Follows a stream and sends its records to every tail at the same position."""

    def __init__(
        self,
        engine: Engine,
        background: Background,
        choice: Choice,
        predicate: Filter | None,
        position: Position,
    ) -> None:
        self.choice = choice
        self.position = position
        self.tails = 0
        self._engine = engine
        self._background = background
        self.filter = predicate
        self._live: dict[StreamWriter, asyncio.Future[Position | None]] = {}
        self._moved = asyncio.Event()
        self._ending: bytes | None = None

    async def run(self) -> None:
        """Reads until the stream is deleted, the engine closes, or the task is cancelled."""
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
        """Waits for a record; False when it is time for a keep-alive comment."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        watch = self._engine.watch(self.choice.stream, list(enumerate(self.position[1])), future)
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                await future
        except TimeoutError:
            return False
        finally:
            self._engine.unwatch(watch)
        return True

    async def _advance(self) -> None:
        """Reads and sends all records that are there."""
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
        return await self._background.blocking(
            self._engine.tail,
            self.choice.stream,
            position,
            CHUNK_RECORDS,
            CHUNK_BYTES,
            until,
            self.filter,
            self.choice.projects,
        )

    def _broadcast(self, piece: bytes, before: Position) -> None:
        for writer in [writer for writer in self._live if writer.full]:
            # The tail goes on by itself from the position before this piece.
            self._live.pop(writer).set_result(before)
        for writer in self._live:
            writer.send(piece)

    def end(self, why: str) -> None:
        """Ends all tails, also those that are about to join."""
        self._ending = _last_event(why)
        self._moved.set()
        while self._live:
            _writer, leaving = self._live.popitem()
            leaving.set_result(None)

    @property
    def ended(self) -> bool:
        return self._ending is not None

    async def follow(self, writer: StreamWriter, position: Position) -> None:
        """Sends one tail the records after `position`, until its client leaves or stops reading, or the stream ends."""
        writer.send(f"retry: {RETRY_MILLISECONDS}\nid: {written(position)}\n\n".encode())
        while await self._catch_up(writer, position):
            # Nothing was awaited since the tail was found at the broadcaster's position.
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
        """Brings one tail to the broadcaster's position; False when the tail has ended on the way."""
        try:
            while await self._room(writer):
                if position == self.position:
                    return True
                ends = self.position[1]
                if all(here >= end for here, end in zip(position[1], ends, strict=True)):
                    # The broadcaster is about to read records that this tail has already.
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
            # The records at this tail's position cannot be read; the others are at another position.
            writer.send(_last_event(_reason(error)))
        return False

    async def _next_move(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                await self._moved.wait()

    async def _room(self, writer: StreamWriter) -> bool:
        """Waits until the client takes more; False when the tail has ended."""
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
    """A comment of one line, which browsers do not show (HTML Living Standard, 9.2.6)."""
    return f": {error.name}: {' '.join(error.detail.split())}\n\n".encode()


def _reason(error: ForebayError) -> str:
    return "deleted" if isinstance(error, StreamNotFound) else error.name


class TailBroadcasters:
    """The broadcasters that have tails."""

    def __init__(self, engine: Engine, background: Background, limit: int) -> None:
        """`limit` is the most tails at once."""
        self._engine = engine
        self._background = background
        self._broadcasters: dict[Choice, tuple[TailBroadcaster, asyncio.Task[None]]] = {}
        self._limit = limit
        self._tails = 0
        self._waits_for_the_end = False

    def filter_of(self, choice: Choice) -> Filter | None:
        """The compiled filter of a broadcaster that exists already."""
        found = self._broadcasters.get(choice)
        return None if found is None else found[0].filter

    def check_room(self) -> None:
        """Checks that there is room for another tail.

        Raises:
            Saturated: there are `limit` tails already.
        """
        if self._tails >= self._limit:
            raise Saturated(f"there are {self._limit} tails already, half of the connections that the server takes")

    def dismiss(self, writer: StreamWriter) -> None:
        """Ends one tail whose token may not read any more. Records that it has not taken are dropped."""
        if writer.full:
            writer.cut()
            return
        writer.send(_last_event(Unauthorized.name))
        writer.close()

    async def serve(self, choice: Choice, predicate: Filter | None, position: Position, writer: StreamWriter) -> None:
        """Serves one tail from its start to its end."""
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
            self._background.spawn(self._end_with_the_server())
        broadcaster = TailBroadcaster(
            self._engine, self._background, choice, predicate, self._engine.position(choice.stream, False)
        )
        if self._background.stopping.is_set() or broadcaster.position[0] != choice.identity:
            broadcaster.end("closed" if self._background.stopping.is_set() else "deleted")
        self._broadcasters[choice] = (broadcaster, self._background.spawn(broadcaster.run()))
        return broadcaster

    async def _end_with_the_server(self) -> None:
        await self._background.stopping.wait()
        for broadcaster, _task in self._broadcasters.values():
            broadcaster.end("closed")
