"""Tickets stand for a token where a browser cannot send one. `WebSocket` and `EventSource` send no headers of the
page's choice, and a token in an address would stay in histories and in the logs of proxies.

A ticket is valid for one request. An `EventSource`, though, requests the same address again whenever its connection is
lost. So a ticket that opened a tail stays valid for that tail alone, with one connection at a time, until the tail has
had no connection for `REJOIN_SECONDS`. A ticket found in a log is worth nothing after that; before, it gives the same
tail, which its reader then loses.
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
"""How long an unused ticket is valid. A page connects at once; a longer time only helps whoever finds it in a log."""

MAX_TICKETS = 10_000
"""The most unused tickets, some 2 MB: pages that connect anew within `TICKET_SECONDS`."""

REJOIN_SECONDS = 600
"""How long a tail may be without a connection: a network changes, a proxy restarts, a machine sleeps for a moment. A
page that was away for longer gets another ticket and sends its position."""

MAX_TAILS = 10_000
"""The most tails that have lost their connection and may come back, some 4 MB. Beyond it the one that has been away
longest is given up. The number of tails with a connection is bounded by `TailBroadcasters`."""

TICKET_BYTES = 32
"""Random bytes, as many as a token has: nobody guesses one, however many are unused."""

TICKET_CHARACTERS = 43
"""Those bytes in base64url (RFC 4648, section 5) without padding. A text of another length is not hashed."""

TICKET = text(
    "ticket",
    None,
    "A ticket from `POST /api/ticket` in place of the `Authorization` header.",
    low=TICKET_CHARACTERS,
    high=TICKET_CHARACTERS,
)
"""The query parameter of routes that answer with a stream, which browsers open without headers."""


@dataclass(slots=True, eq=False)
class Tail:
    """The one tail that a used ticket is still valid for.

    Attributes:
        token: the digest of the token that the ticket was made with.
        target: the SHA-256 of its path and query.
        until: the latest time to come back; has no meaning while the tail is connected.
        end: ends its connection; None while it has none.
    """

    token: bytes
    target: bytes
    until: float
    end: Callable[[], object] | None = None


class Tickets:
    """The valid tickets, each as its SHA-256. They are kept in memory only, so a restart forgets them. Only the event
    loop uses them."""

    def __init__(self, authenticator: Authenticator, clock: Callable[[], float] = time.monotonic) -> None:
        self._authenticator = authenticator
        self._clock = clock
        # All live equally long, so they are in the order in which they expire. The token's rights are looked up at use,
        # so that a ticket never has more than its token has then.
        self._outstanding: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        # In the order in which they lost their connections, which is the order in which they expire.
        self._away: OrderedDict[bytes, Tail] = OrderedDict()
        self._connected: dict[bytes, Tail] = {}

    def __len__(self) -> int:
        """The number of unused tickets. Expired ones count until the next is made."""
        return len(self._outstanding)

    def make(self, principal: Principal) -> str:
        """A new ticket for the token of `principal`, valid for one use within `TICKET_SECONDS`.

        Raises:
            Saturated: there are `MAX_TICKETS` unused tickets.
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
        """The principal of the ticket's token, which has `role`. The ticket is used up, also when this raises.

        Raises:
            Unauthorized: the ticket is unknown, expired or used, or its token was revoked.
            Forbidden: the token lacks the role.
        """
        return self._principal(self._take(ticket), role)

    def reopen(self, ticket: str, role: Role, target: str) -> Principal:
        """The principal of the ticket's token, which has `role`, for the tail at the address `target`: a new tail, or
        the one that the ticket has opened before.

        Raises:
            Unauthorized: the ticket is unknown, expired or used for another address, or its token was revoked.
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
        """Registers the connection of a tail that `reopen` let in; `end` ends it. A previous connection of the tail is
        ended, so that whoever finds a ticket cannot share the tail unseen. Does nothing for a tail without a ticket."""
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
            # Another connection may have taken its place.
            if tail.end is end:
                tail.end, tail.until = None, self._clock() + REJOIN_SECONDS
                self._away[digest] = self._connected.pop(digest)
                if len(self._away) > MAX_TAILS:
                    self._away.popitem(last=False)

    def _take(self, ticket: str) -> bytes:
        """Uses up an unused ticket; returns the digest of its token."""
        held = self._outstanding.pop(_digest(ticket), None) if len(ticket) == TICKET_CHARACTERS else None
        if held is None or self._clock() >= held[0]:
            raise _unknown()
        return held[1]

    def _principal(self, token: bytes, role: Role) -> Principal:
        principal = self._authenticator.known(token)
        if principal is None:
            raise errors.Unauthorized("the token that the ticket was made with was revoked")
        principal.check(role)
        return principal

    def _drop_expired(self, now: float) -> None:
        while self._outstanding and next(iter(self._outstanding.values()))[0] <= now:
            self._outstanding.popitem(last=False)
        while self._away and next(iter(self._away.values())).until <= now:
            self._away.popitem(last=False)


def ticket_in(query: str) -> str | None:
    """The ticket in a query string, or None. `Parameters.parse` checks the rest of the query later."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        return None
    return next((value for name, value in pairs if name == TICKET.name), None)


def _unknown() -> errors.Unauthorized:
    return errors.Unauthorized("the ticket is unknown, used or expired; make another with POST /api/ticket")


def _digest(ticket: str) -> bytes:
    return sha256(ticket.encode("utf-8", "replace")).digest()
