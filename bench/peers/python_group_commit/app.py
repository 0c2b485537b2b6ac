"""Granian (RSGI) and msgspec with a group commit: one write and one fdatasync for all requests that wait.

Written to be as fast as pure Python gets with the libraries at hand, so that it is a fair measure:

- bodies are decoded straight into typed structs by msgspec;
- `STORE=lines` (the default) stores one JSON line per event, so that a reader finds the n-th event, as a log must;
  `STORE=body` stores the body as it came and does not even build `metadata`: less than a log, and the least that
  Python can do before it acknowledges;
- the commit runs in a thread, and the GIL is free during `writev` and `fdatasync`; requests that arrive meanwhile
  form the next group, so nobody lingers;
- all requests of a group await one future: a commit costs one wake-up of the loop, whatever its size.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Annotated, Any

import msgspec

Text = Annotated[str, msgspec.Meta(min_length=1)]
HEADERS = [("content-type", "application/json")]
ACCEPTED = b'{"status":"accepted"}'
#: The system takes at most IOV_MAX buffers in one call.
MOST_BUFFERS = os.sysconf("SC_IOV_MAX")


class AnyObject(msgspec.Struct, gc=False):
    """Must be an object; what is in it stays unread."""


class CheckedEvent(msgspec.Struct, gc=False):
    project_id: Text
    timestamp: datetime
    level: Text
    service: Text
    message: str
    metadata: AnyObject | None = None


class Event(CheckedEvent, gc=False):
    metadata: dict[str, Any] | None = None  # type: ignore[assignment]


class CheckedBatch(msgspec.Struct, gc=False):
    events: Annotated[list[CheckedEvent], msgspec.Meta(min_length=1)]


class Batch(msgspec.Struct, gc=False):
    events: Annotated[list[Event], msgspec.Meta(min_length=1)]


def lines() -> Callable[[bytes], bytes]:
    decode, encode = msgspec.json.Decoder(Batch).decode, msgspec.json.Encoder().encode_lines
    return lambda body: encode(decode(body).events)


def checked_body() -> Callable[[bytes], bytes]:
    decode = msgspec.json.Decoder(CheckedBatch).decode

    def check(body: bytes) -> bytes:
        decode(body)
        return body

    return check


class GroupCommit:
    """Appends bodies to a file; ``append`` returns when the body is on stable storage."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.thread = ThreadPoolExecutor(1)
        self.waiting: list[bytes] = []
        self.committed: asyncio.Future[None] = loop.create_future()
        self.busy = False

    def append(self, body: bytes) -> asyncio.Future[None]:
        self.waiting.append(body)
        committed = self.committed
        if not self.busy:
            self.begin()
        return committed

    def begin(self) -> None:
        """Hands what waits to the thread; what comes from now on is the next group."""
        group, self.waiting = self.waiting, []
        committed, self.committed = self.committed, self.loop.create_future()
        self.busy = True
        self.thread.submit(self.commit, group, committed)

    def commit(self, group: Sequence[bytes], committed: asyncio.Future[None]) -> None:
        failure: OSError | None = None
        try:
            for start in range(0, len(group), MOST_BUFFERS):
                write_all(self.file, group[start : start + MOST_BUFFERS])
            os.fdatasync(self.file)
        except OSError as error:
            failure = error
        self.loop.call_soon_threadsafe(self.end, committed, failure)

    def end(self, committed: asyncio.Future[None], failure: OSError | None) -> None:
        self.busy = False
        if self.waiting:
            self.begin()
        if failure is None:
            committed.set_result(None)
        else:
            committed.set_exception(failure)


def write_all(file: int, buffers: Sequence[bytes]) -> None:
    written = os.writev(file, buffers)
    if written == sum(map(len, buffers)):
        return
    rest = memoryview(b"".join(buffers))[written:]
    while rest:
        rest = rest[os.write(file, rest) :]


class Application:
    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.stored = {"lines": lines, "body": checked_body}[os.environ.get("STORE", "lines")]()
        self.log = GroupCommit(os.environ["LOG_FILE"], loop)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.path == "/v1/drain" and scope.method == "POST":
            try:
                stored = self.stored(await protocol())
            except msgspec.MsgspecError as error:
                protocol.response_bytes(400, HEADERS, msgspec.json.encode({"error": str(error)}))
                return
            try:
                await self.log.append(stored)
            except OSError:
                protocol.response_bytes(503, HEADERS, b'{"error":"storage unavailable"}')
                return
            protocol.response_bytes(202, HEADERS, ACCEPTED)
        elif scope.path == "/health":
            protocol.response_bytes(200, HEADERS, b'{"status":"ok"}')
        else:
            protocol.response_bytes(404, HEADERS, b'{"error":"not found"}')


app = Application()
