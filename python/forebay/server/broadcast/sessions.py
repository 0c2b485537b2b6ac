"""Requests that last: tails, WebSockets, long polls. Each ends when its token no longer grants what it did when the
request was let in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import structlog

from forebay import errors

if TYPE_CHECKING:
    from forebay.server.http.auth import Authenticator, Principal
    from forebay.server.http.router import Role

log = structlog.get_logger("forebay.sessions")


class Sessions:
    """The lasting requests of one server. Only the event loop uses it; connections bound their number."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._open: dict[object, tuple[Principal, Callable[[], object]]] = {}

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def held(self, principal: Principal, end: Callable[[], object]) -> Iterator[None]:
        """Calls `end` when the principal's rights change, at once if they did since the request was let in. `end` may
        be called again while the request takes its time to end."""
        key = object()
        self._open[key] = (principal, end)
        try:
            if not self._authenticator.holds(principal):
                end()
            yield
        finally:
            del self._open[key]

    def check(self, principal: Principal, role: Role) -> None:
        """Checks that the principal still has the rights it was let in with.

        Raises:
            Unauthorized: the token was revoked.
            Forbidden: the token was changed.
        """
        if self._authenticator.holds(principal):
            return
        known = self._authenticator.known(principal.digest)
        if known is None:
            raise errors.Unauthorized("the token was revoked")
        known.check(role)
        raise errors.Forbidden(f"the token {known.name!r} was changed meanwhile; ask again")

    def recheck(self) -> None:
        """Ends the requests whose tokens have changed. Call it when the token file was read anew."""
        for principal, end in list(self._open.values()):
            if not self._authenticator.holds(principal):
                try:
                    end()
                except Exception as error:
                    # The others have to end all the same.
                    log.exception("a request of a revoked token could not be ended", error=str(error))
