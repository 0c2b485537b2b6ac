"""The short way of an ingest request: no task, no coroutine, two calls on Granian's Python thread.

Granian hands a request to its Python thread, and the body to the same thread once it is whole. The usual way hops
from there to the event loop and back for both, which costs more than everything else in a request. Here the body goes
to the engine where it arrives, and the engine's completion answers. What is out of the ordinary in any way (no length,
a query, no token with the role, a header that is refused, too large) is declined and takes the usual way, which knows
every rule.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from forebay._forebay import Engine
from forebay.errors import ForebayError, Internal, Malformed, RequestTimeout, Timeout
from forebay.http.auth import Guard
from forebay.http.request import Allowance, declared_length
from forebay.http.response import Response
from forebay.http.router import Role
from forebay.http.rsgi import BodyFuture, HttpProtocol, Scope
from forebay.http.terms import Terms, terms_of

ACK_SECONDS = 60.0
"""A commit takes milliseconds and a stalled disk minutes: after this the sender is told that the outcome is unknown."""


SWEEP_SECONDS = 0.5
"""How often deadlines are looked at."""


class Intake:
    """The short way of one route."""

    def __init__(
        self,
        engine: Engine,
        shape: int,
        acknowledge: Callable[[Terms, Any], Response],
        refuse: Callable[[ForebayError, bool], Response],
        *,
        guard: Guard,
        role: Role,
        body_limit: int,
        body_seconds: float,
        allowance: Allowance,
    ) -> None:
        self.engine = engine
        self.shape = shape
        self.acknowledge = acknowledge
        self.guard = guard
        self.role = role
        self.refuse = refuse
        self.body_limit = body_limit
        self.body_seconds = body_seconds
        self.allowance = allowance
        # Requests under way, at most one a connection. Single operations on a dict are atomic; both threads use them.
        self.under_way: dict[Delivery, None] = {}
        # The sweep sets it: up to SWEEP_SECONDS behind, which is exact enough for deadlines of seconds, and free.
        self.now = time.monotonic()

    def take(self, scope: Scope, protocol: HttpProtocol, stream: str | None = None) -> bool:
        """Starts the request; False when it has to take the usual way. `stream` is the one that it publishes to."""
        headers = scope.headers
        length = headers.get("content-length")
        if length is None or scope.query_string:
            return False
        grant = self.guard.find(headers)
        if grant is None or self.role not in grant.roles:
            return False
        try:
            terms = terms_of(headers, grant)
            size = declared_length(length) or 0
        except ForebayError:
            return False
        if stream is not None:
            if terms.projects is not None or terms.quarantine:
                return False
            terms = terms._replace(stream=stream)
        if size > self.body_limit or not self.allowance.take(size):
            return False
        delivery = Delivery(self, protocol, size, terms)
        self.under_way[delivery] = None
        future = protocol()
        delivery.future = future
        future.add_done_callback(delivery)
        return True

    def sweep(self, now: float) -> None:
        """Ends what is beyond its deadline, at most two sweeps later and never before. Called on the event loop every
        `SWEEP_SECONDS`."""
        self.now = now
        for delivery in list(self.under_way):
            age = now - delivery.since
            # Read once: the other thread clears it when the body is whole. Cancelling one that is whole does nothing.
            future = delivery.future
            if future is not None:
                if age > self.body_seconds + SWEEP_SECONDS:
                    future.cancel()
            elif age > ACK_SECONDS:
                delivery.set_exception(no_commit(f"{ACK_SECONDS:g} seconds"))


class Delivery:
    """One request on the short way: the callback of its body, then the future of its commit."""

    __slots__ = ("future", "intake", "protocol", "since", "size", "terms", "timer")

    def __init__(self, intake: Intake, protocol: HttpProtocol, size: int, terms: Terms) -> None:
        self.intake = intake
        self.protocol = protocol
        self.size = size
        self.terms = terms
        self.since = intake.now
        self.future: BodyFuture | None = None
        self.timer: asyncio.TimerHandle | None = None

    def __call__(self, future: BodyFuture) -> None:
        intake = self.intake
        self.future = None
        intake.allowance.give(self.size)
        try:
            body = future.result()
        except asyncio.CancelledError:
            late = RequestTimeout(f"the body did not arrive within {intake.body_seconds:g} seconds")
            self._refuse(late, close=True)
            return
        except RuntimeError:
            # RSGI's for a connection that broke. Answered all the same: one that is only half closed still reads, and
            # Granian keeps a connection, its buffer and its place among the connections until its request is answered.
            self._refuse(Malformed("the body broke off"), close=True)
            return
        self.since = intake.now
        try:
            intake.engine.submit(intake.shape, body, self, *self.terms)
        except ForebayError as error:
            self._refuse(error)
        except Exception as error:
            # Called from Rust, which cannot pass an exception on.
            self.set_exception(error)

    def set_result(self, result: Any) -> None:
        if self._settle():
            self.intake.acknowledge(self.terms, result).send(self.protocol)

    def set_timeout(self, seconds: float) -> None:
        """The sender waits that much longer, in a request that says so. Called on the event loop."""
        if self in self.intake.under_way:
            late = no_commit("options.timeout")
            self.timer = asyncio.get_running_loop().call_later(seconds, self.set_exception, late)

    def set_exception(self, error: Exception) -> None:
        self._refuse(error if isinstance(error, ForebayError) else Internal(f"{type(error).__name__}: {error}"))

    def cancelled(self) -> bool:
        """As asyncio's futures; a delivery is never cancelled, since an append is not when its client has gone."""
        return False

    def _refuse(self, error: ForebayError, *, close: bool = False) -> None:
        if self._settle():
            self.intake.refuse(error, close).send(self.protocol)

    def _settle(self) -> bool:
        """Whether it is still to be answered. A commit may come after its deadline, and nothing is answered twice."""
        if self.timer is not None:
            # It would keep the request, its connection's side included, for as long as its sender would have waited.
            self.timer.cancel()
            self.timer = None
        return self.intake.under_way.pop(self, self) is None


def no_commit(within: str) -> Timeout:
    """What a sender is told whose commit did not come in time."""
    return Timeout(f"no commit within {within}; the outcome is unknown")
