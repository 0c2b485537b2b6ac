"""Tickets: what stands for a token where a browser cannot send one. `WebSocket` and `EventSource` set no headers, and a
token in an address would stay in histories and in the logs of proxies; a ticket is worth nothing once it was used."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import parse_qsl

from forebay import errors
from forebay.http.auth import Grant, Guard
from forebay.http.parameters import MAX_QUERY_FIELDS, text
from forebay.http.router import Role

TICKET_SECONDS = 30
"""A page asks for one and connects at once; longer only serves who finds it in a log."""

MAX_TICKETS = 10_000
"""Outstanding ones, some 2 MB. As many pages would have to connect anew within `TICKET_SECONDS`."""

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


class Tickets:
    """The outstanding ones, each as its SHA-256. They live in memory alone, and only the event loop uses them."""

    def __init__(self, guard: Guard, clock: Callable[[], float] = time.monotonic) -> None:
        self._guard = guard
        self._clock = clock
        # All live equally long, so they stand in the order in which they expire. What a token may do is not kept: it is
        # looked up at use, so that a ticket has no more than its token has by then.
        self._outstanding: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    def __len__(self) -> int:
        """How many are held, expired ones too until the next is made."""
        return len(self._outstanding)

    def make(self, grant: Grant) -> str:
        """A new ticket for the token of `grant`, good for one use within `TICKET_SECONDS`.

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
        self._outstanding[_digest(ticket)] = (now + TICKET_SECONDS, grant.digest)
        return ticket

    def require(self, ticket: str, role: Role) -> Grant:
        """What the ticket's token may do now, which includes `role`. Whatever comes of it, the ticket is used up.

        Raises:
            Unauthorized: it is unknown, expired or used, or its token is no more.
            Forbidden: the token lacks the role.
        """
        held = self._outstanding.pop(_digest(ticket), None) if len(ticket) == TICKET_CHARACTERS else None
        if held is None or self._clock() >= held[0]:
            raise errors.Unauthorized("the ticket is unknown, used or expired; make another with POST /api/ticket")
        grant = self._guard.known(held[1])
        if grant is None:
            raise errors.Unauthorized("the token that the ticket was made with is no more")
        grant.check(role)
        return grant

    def _drop_expired(self, now: float) -> None:
        while self._outstanding and next(iter(self._outstanding.values()))[0] <= now:
            self._outstanding.popitem(last=False)


def ticket_in(query: str) -> str | None:
    """The ticket in a query string, or None. What else is wrong with the query, its parameters' check says later."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        return None
    return next((value for name, value in pairs if name == TICKET.name), None)


def _digest(ticket: str) -> bytes:
    return sha256(ticket.encode("utf-8", "replace")).digest()
