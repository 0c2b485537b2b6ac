"""One request: its path segments, its query, and its body, which is read within bounds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from forebay import errors
from forebay.server.http.rsgi import HttpProtocol, Scope

if TYPE_CHECKING:
    from forebay._forebay import MemoryBudget, Reserved
    from forebay.server.http.auth import Principal
    from forebay.server.http.parameters import Parameter, Parameters

T = TypeVar("T")

LINGER_BYTES = 32 << 20
"""How much of a refused body is read, so that a sender that writes all of it first still sees the answer."""

LINGER_SECONDS = 5.0
"""How long a refused body is read."""

WHOLE_BODY_BYTES = 64 << 10
"""A declared body up to this size is charged at once and read in one piece; a larger one is charged as its bytes come,
so that senders which announce much and send nothing refuse nobody."""

_MAX_SHOWN = 200
"""Longest part of a path or a query that an error message repeats; they may have 64 KiB."""

_MAX_LENGTH_DIGITS = 19
"""Digits of 2^63; more would be a body of exabytes."""


class Request:
    """A request as a route handler sees it."""

    __slots__ = (
        "_body_seconds",
        "_limit",
        "_memory_budget",
        "_values",
        "bound",
        "broken_off",
        "principal",
        "protocol",
        "scope",
    )

    def __init__(
        self,
        scope: Scope,
        protocol: HttpProtocol,
        bound: dict[str, str],
        *,
        principal: Principal,
        parameters: Parameters,
        body_limit: int,
        body_seconds: float,
        memory_budget: MemoryBudget,
    ) -> None:
        self.scope = scope
        self.protocol = protocol
        self.bound = bound
        self.principal = principal
        self._values: dict[str, Any] = parameters.parse(scope.query_string)
        self.broken_off = False
        self._limit = body_limit
        self._body_seconds = body_seconds
        self._memory_budget = memory_budget

    async def body(self, *, encoded: bool = False) -> bytes:
        """The whole body, as sent. With `encoded`, the caller decodes the content encoding.

        Raises:
            UnsupportedEncoding: the content encoding is not `identity`.
            PayloadTooLarge: the body is longer than the route takes, as declared or as sent.
            Saturated: the bodies under way have used up their memory.
            RequestTimeout: the body did not arrive in time.
        """
        headers = self.scope.headers
        # Until the body is whole its rest is still to come, so the connection cannot be used again.
        self.broken_off = True
        encoding = headers.get("content-encoding")
        if not encoded and encoding is not None and encoding.strip().lower() not in ("", "identity"):
            raise errors.UnsupportedEncoding(
                f"content-encoding {shown(encoding)} is not accepted; send the body as it is"
            )
        coding = headers.get("transfer-encoding")
        if coding is not None and coding.strip().lower() != "chunked":
            raise errors.Malformed(f"transfer-encoding {shown(coding)} is not accepted; send the body chunked or plain")
        declared = _declared_length(headers.get("content-length"))
        if declared is not None and declared > self._limit:
            raise errors.PayloadTooLarge(f"the body has {declared} bytes, more than the limit of {self._limit}")
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await self._gather(declared)
        except TimeoutError:
            raise errors.RequestTimeout(f"the body did not arrive within {self._body_seconds:g} seconds") from None
        self.broken_off = False
        return body

    async def _gather(self, declared: int | None) -> bytes:
        held = self._memory_budget.reserve(self.principal.limiter)
        try:
            if declared is not None and declared <= WHOLE_BODY_BYTES:
                held.grow_to(declared)
                return await self.protocol()
            return await self._chunks(held, declared)
        finally:
            held.release()

    async def _chunks(self, held: Reserved, declared: int | None) -> bytes:
        """Reads the body piece by piece. Each piece is charged before the next one is asked for."""
        chunks: list[bytes] = []
        size = empty = 0
        async for chunk in self.protocol:
            empty += not chunk
            size += len(chunk)
            if size > self._limit:
                raise errors.PayloadTooLarge(f"the body has more than the limit of {self._limit} bytes")
            held.grow_to(size)
            chunks.append(chunk)
        # One empty chunk marks the end of a body. Granian gives a second one for an error and for trailers.
        if empty != 1 or (declared is not None and size != declared):
            raise errors.Malformed("the body broke off, or carries trailers, which are not accepted")
        return b"".join(chunks)

    def value(self, parameter: Parameter[T]) -> T:
        """The value of a query parameter of the route, or its default."""
        value: T = self._values[parameter.name]
        return value


def shown(text: str) -> str:
    """The text of a sender in quotes, shortened, as error messages show it."""
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")


def _declared_length(header: str | None) -> int | None:
    """The value of `content-length`.

    Raises:
        Malformed: it is not a plain number. Granian refuses such a header before this is called; the check holds
            should that ever change.
    """
    if header is None:
        return None
    if not (header.isascii() and header.isdigit() and len(header) <= _MAX_LENGTH_DIGITS):
        raise errors.Malformed("content-length is not a number")
    return int(header)


async def linger(protocol: HttpProtocol) -> None:
    """Reads the rest of a refused body, within bounds. Closing at once would reset the connection, and the sender would
    never see the answer (RFC 9112, 9.6)."""
    left = LINGER_BYTES
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            async for chunk in protocol:
                left -= len(chunk)
                if not chunk or left < 0:
                    return
    except (TimeoutError, RuntimeError):
        # RSGI raises RuntimeError for a body that was read already and for a connection that is gone.
        return
