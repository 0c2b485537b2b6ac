"""Requests that last: tails, WebSockets, long polls. Each ends when its token does not grant any more what it did when
they were let in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import structlog

from forebay import errors

if TYPE_CHECKING:
    from forebay.server.http.auth import Grant, Guard
    from forebay.server.http.router import Role

log = structlog.get_logger("forebay.sessions")


class Sessions:
    """The lasting requests of one server. Lives on the event loop; bounded by the connections that they hold."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._open: dict[object, tuple[Grant, Callable[[], object]]] = {}

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def held(self, grant: Grant, end: Callable[[], object]) -> Iterator[None]:
        """Calls `end` when the grant does not hold any more, at once if it was withdrawn since the request was let in.
        `end` may be called again while the request takes its time to end."""
        key = object()
        self._open[key] = (grant, end)
        try:
            if not self._guard.holds(grant):
                end()
            yield
        finally:
            del self._open[key]

    def check(self, grant: Grant, role: Role) -> None:
        """
        Raises:
            Unauthorized: the grant's token is no more.
            Forbidden: it was changed.
        """
        if self._guard.holds(grant):
            return
        known = self._guard.known(grant.digest)
        if known is None:
            raise errors.Unauthorized("the token was revoked")
        known.check(role)
        raise errors.Forbidden(f"the token {known.name!r} was changed meanwhile; ask again")

    def recheck(self) -> None:
        """To be called when tokens have changed."""
        for grant, end in list(self._open.values()):
            if not self._guard.holds(grant):
                try:
                    end()
                except Exception as error:
                    # The others have to end all the same.
                    log.exception("a request of a revoked token could not be ended", error=str(error))
