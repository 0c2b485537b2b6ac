"""Log searches under way: on threads of their own, and no longer than somebody waits for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from forebay import errors
from forebay._forebay import SearchCancel
from forebay.server.http.deliveries import SMALL_BYTES
from forebay.server.http.response import Response
from forebay.server.http.router import Role

if TYPE_CHECKING:
    from forebay.server.broadcast.sessions import Sessions
    from forebay.server.http.deliveries import Deliveries
    from forebay.server.http.request import Request

T = TypeVar("T")

Search = Callable[[SearchCancel], bytes]
"""Searches and returns the answer's body."""

Ends = tuple[asyncio.Future[Any], ...]

SEARCH_SECONDS = 10.0
"""The time of one search: proxies wait for longer, and people hardly do."""

HANGING_SECONDS = 60.0
"""A search of a disk that hangs cannot be ended by its budget."""

THREADS = 6
"""More than the engine lets search at once, four: one that it refuses, or whose answer is written, takes a thread as
well, and the engine has to see whom it refuses, since it shares its searches among the tokens that ask."""


class Searches:
    """The searches of one server. Only the event loop uses it."""

    def __init__(self, sessions: Sessions, deliveries: Deliveries, stopping: asyncio.Event) -> None:
        self._sessions = sessions
        self._deliveries = deliveries
        self._stopping = stopping
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="forebay-search")
        # Held until there is room for the answer, too, so that no more answers than this are outside of that budget.
        self._turns = asyncio.Semaphore(THREADS)

    @contextlib.contextmanager
    def attended(self, request: Request) -> Iterator[Ends]:
        """Gives what completes when nobody waits for an answer any more: the client is gone, its token was revoked or
        changed, or the server stops. A client that has closed its sending side may still read, and counts as there."""
        revoked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone = asyncio.ensure_future(request.protocol.client_disconnect())
        stops = asyncio.ensure_future(self._stopping.wait())
        try:
            with self._sessions.held(request.principal, revoked.cancel):
                yield gone, revoked, stops
        finally:
            gone.cancel()
            stops.cancel()

    async def answer(self, request: Request, search: Search) -> Response:
        """Answers with what `search` returns. It is cancelled when nobody waits for it any more.

        Raises:
            Unauthorized, Forbidden: the token no longer has its rights.
            Closed: the server stops.
            Timeout: a disk hangs.
            whatever `search` raises
        """
        with self.attended(request) as ends:
            async with self._turns:
                body = await self.run(request, search, ends)
                size = len(body)
                room = None if size <= SMALL_BYTES else await self._deliveries.room(request.principal.digest, size)
                return Response(200, body, room=room)

    async def run(self, request: Request, search: Callable[[SearchCancel], T], ends: Ends) -> T:
        """What `search` returns; see `answer`."""
        cancel = SearchCancel()
        work = asyncio.get_running_loop().run_in_executor(self._threads, search, cancel)
        # A request that is cancelled asks for no result.
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            first: set[asyncio.Future[Any]] = {work, *ends}
            await asyncio.wait(first, timeout=HANGING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                cancel.cancel()
                await asyncio.wait({work}, timeout=HANGING_SECONDS)
        finally:
            cancel.cancel()
        self._sessions.check(request.principal, Role.OPS)
        if not work.done():
            raise errors.Timeout(f"the log did not answer a search within {HANGING_SECONDS:g} seconds")
        return work.result()

    def close(self) -> None:
        """Waits for the threads. Call it after the requests have ended."""
        self._threads.shutdown(wait=True)
