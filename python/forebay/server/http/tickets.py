"""Tickets: what stands for a token where a browser cannot send one. `WebSocket` and `EventSource` set no headers, and a
token in an address would stay in histories and in the logs of proxies.

A ticket is good for one request. An `EventSource`, though, asks for the same address again whenever its connection is
lost. So one that opened a tail stays good for that tail alone, with one connection at a time, until the tail has been
without any for `REJOIN_SECONDS`: what is found in a log is worth nothing after that, and before it only the same tail,
which its reader then loses.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qsl

from forebay import errors
from forebay.server.http.auth import Authenticator, Principal
from forebay.server.http.parameters import MAX_QUERY_FIELDS, text
from forebay.server.http.router import Role

TICKET_SECONDS = 30
"""A page asks for one and connects at once; longer only serves who finds it in a log."""

MAX_TICKETS = 10_000
"""Outstanding ones, some 2 MB. As many pages would have to connect anew within `TICKET_SECONDS`."""

REJOIN_SECONDS = 600
"""How long a tail may be without its connection: while a network changes, a proxy restarts, a machine sleeps for a
moment. A page that was away for longer makes another ticket, and says its position."""

MAX_TAILS = 10_000
"""Tails that are without their connection now and may come back, some 4 MB. Beyond it the one that has been away for
longest is given up. Those with a connection are bounded by the tails that the server takes."""

TICKET_BYTES = 32
"""As many as a token has: nobody guesses one, however many are outstanding."""

TICKET_CHARACTERS = 43
"""That many bytes in base64url (RFC 4648, section 5) without padding. What has another length need not be hashed."""

TICKET = text(
    "ticket",
    None,
    "A ticket from `POST /api/ticket` in place of the `Authorization` header.",
    low=TICKET_CHARACTERS,
    high=TICKET_CHARACTERS,
)
"""The row of routes that take one: those whose answer is a stream, which is what browsers open without headers."""


@dataclass(slots=True, eq=False)
class Tail:
    """The one tail that a ticket is good for, once it was used for one.

    Attributes:
        token: the digest of the token that the ticket was made with.
        target: the SHA-256 of its address, path and query.
        until: by when it has to be back; without a meaning while it is connected.
        end: ends its connection; None while it has none.
    """

    token: bytes
    target: bytes
    until: float
    end: Callable[[], object] | None = None


class Tickets:
    """The outstanding ones, each as its SHA-256. They live in memory alone, and only the event loop uses them: after a
    restart all of them are unknown."""

    def __init__(self, authenticator: Authenticator, clock: Callable[[], float] = time.monotonic) -> None:
        self._authenticator = authenticator
        self._clock = clock
        # All live equally long, so they stand in the order in which they expire. What a token may do is not kept: it is
        # looked up at use, so that a ticket has no more than its token has by then.
        self._outstanding: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        # In the order in which they lost their connections, and so the one in which they expire.
        self._away: OrderedDict[bytes, Tail] = OrderedDict()
        self._connected: dict[bytes, Tail] = {}

    def __len__(self) -> int:
        """How many are held, expired ones too until the next is made."""
        return len(self._outstanding)

    def make(self, principal: Principal) -> str:
        """A new ticket for the token of `principal`, good for one use within `TICKET_SECONDS`.

        Raises:
            Saturated: `MAX_TICKETS` are outstanding.
        """
        now = self._clock()
        self._drop_expired(now)
        if len(self._outstanding) >= MAX_TICKETS:
            refused = errors.Saturated(f"{MAX_TICKETS} tickets are outstanding; ask again when some have expired")
            refused.retry_after = next(iter(self._outstanding.values()))[0] - now
            raise refused
        ticket = secrets.token_urlsafe(TICKET_BYTES)
        self._outstanding[_digest(ticket)] = (now + TICKET_SECONDS, principal.digest)
        return ticket

    def require(self, ticket: str, role: Role) -> Principal:
        """What the ticket's token may do now, which includes `role`. Whatever comes of it, the ticket is used up.

        Raises:
            Unauthorized: it is unknown, expired or used, or its token is no more.
            Forbidden: the token lacks the role.
        """
        return self._principal(self._take(ticket), role)

    def reopen(self, ticket: str, role: Role, target: str) -> Principal:
        """What the ticket's token may do now, which includes `role`, for the tail at the address `target`: a new one,
        or the one that the ticket has opened before.

        Raises:
            Unauthorized: it is unknown, expired or used for another address, or its token is no more.
            Forbidden: the token lacks the role.
        """
        if len(ticket) != TICKET_CHARACTERS:
            raise _unknown()
        digest, now = _digest(ticket), self._clock()
        self._drop_expired(now)
        tail = self._connected.get(digest) or self._away.get(digest)
        if tail is None:
            tail = Tail(self._take(ticket), _digest(target), now + REJOIN_SECONDS)
            if len(self._away) >= MAX_TAILS:
                self._away.popitem(last=False)
            self._away[digest] = tail
        elif tail.target != _digest(target):
            raise _unknown()
        return self._principal(tail.token, role)

    @contextlib.contextmanager
    def connected(self, ticket: str | None, end: Callable[[], object]) -> Iterator[None]:
        """Notes the connection of a tail that `reopen` let in, which `end` ends, and ends the one that it had before:
        whoever finds a ticket shares no tail unseen. Nothing is noted of a tail that came without a ticket."""
        digest = b"" if ticket is None else _digest(ticket)
        tail = self._away.pop(digest, None) or self._connected.get(digest)
        if tail is None:
            yield
            return
        before, tail.end = tail.end, end
        self._connected[digest] = tail
        if before is not None:
            before()
        try:
            yield
        finally:
            # Unless another one has taken its place.
            if tail.end is end:
                tail.end, tail.until = None, self._clock() + REJOIN_SECONDS
                self._away[digest] = self._connected.pop(digest)
                if len(self._away) > MAX_TAILS:
                    self._away.popitem(last=False)

    def _take(self, ticket: str) -> bytes:
        """The digest of the token of a ticket that was not used yet, and is now."""
        held = self._outstanding.pop(_digest(ticket), None) if len(ticket) == TICKET_CHARACTERS else None
        if held is None or self._clock() >= held[0]:
            raise _unknown()
        return held[1]

    def _principal(self, token: bytes, role: Role) -> Principal:
        principal = self._authenticator.known(token)
        if principal is None:
            raise errors.Unauthorized("the token that the ticket was made with is no more")
        principal.check(role)
        return principal

    def _drop_expired(self, now: float) -> None:
        while self._outstanding and next(iter(self._outstanding.values()))[0] <= now:
            self._outstanding.popitem(last=False)
        while self._away and next(iter(self._away.values())).until <= now:
            self._away.popitem(last=False)


def ticket_in(query: str) -> str | None:
    """The ticket in a query string, or None. What else is wrong with the query, its parameters' check says later."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        return None
    return next((value for name, value in pairs if name == TICKET.name), None)


def _unknown() -> errors.Unauthorized:
    return errors.Unauthorized("the ticket is unknown, used or expired; make another with POST /api/ticket")


def _digest(ticket: str) -> bytes:
    return sha256(ticket.encode("utf-8", "replace")).digest()
