"""A cache that reads Redis, and writes nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import structlog

from forebay.cache.cache import STALE_MS, Health, Kind
from forebay.cache.redis.connection import Connection
from forebay.cache.redis.layout import Layout, key_start, span_ms
from forebay.cache.redis.problem import RedisProblem, Trouble
from forebay.cache.shapes import EventWindow, HourWindow, PerformanceWindow, Totals
from forebay.cache.times import rfc3339
from forebay.errors import StorageUnavailable

log = structlog.get_logger("forebay.cache")

RETRY_AFTER_SECONDS = 1.0

_SHAPES: dict[Kind, msgspec.json.Decoder[Any]] = {
    Kind.EVENTS: msgspec.json.Decoder(EventWindow),
    Kind.PERFORMANCE: msgspec.json.Decoder(PerformanceWindow),
    Kind.HOURS: msgspec.json.Decoder(HourWindow),
}
_TOTALS = msgspec.json.Decoder(Totals)


class RedisCache:
    """What a server has published. Each answer is one round trip, which ends within `connection.CALL_SECONDS`.

    Attributes:
        problem: what the last call met; None when it was answered.
    """

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self.connection = connection
        self.problem: RedisProblem | None = None
        self._layout = layout
        self._updated: str | None = None

    @property
    def updated_seconds(self) -> float | None:
        """When a server last wrote, in seconds since 1970, as far as this process has read; None when that is
        unknown."""
        try:
            return None if self._updated is None else datetime.fromisoformat(self._updated).timestamp()
        except ValueError:
            return None

    async def as_of(self, now_ms: int) -> int:
        """As `Cache.as_of`."""
        if await self.health() is Health.AWAY:
            raise _unavailable(self.problem)
        updated = self.updated_seconds
        if updated is None:
            raise _unavailable(
                f"nobody has published views to Redis at {self.connection.shown} yet, with keys that begin with "
                f"{self._layout.totals.partition(':')[0]}; start a server with this cache and cache_prefix"
            )
        published = int(updated * 1000)
        return published if now_ms - published > STALE_MS else now_ms

    async def windows(self, kind: Kind, first_ms: int, last_ms: int) -> dict[int, bytes]:
        """As `Cache.windows`."""
        groups = self._by_key(kind, first_ms, last_ms)
        commands = [("HMGET", key, *map(rfc3339, starts)) for key, starts in groups]
        if not commands:
            return {}
        try:
            rows = await self._asked(commands)
            found: dict[int, bytes] = {}
            for (key, starts), bodies in zip(groups, rows, strict=True):
                for start, body in zip(starts, bodies, strict=True):
                    if body is not None:
                        self._check(_SHAPES[kind], body, f"field {rfc3339(start)} of the key {key}")
                        found[start] = bytes(body)
        except RedisProblem as problem:
            raise _unavailable(problem) from None
        return found

    async def totals(self) -> Totals:
        """As `Cache.totals`."""
        key = self._layout.totals
        try:
            ((body, updated),) = await self._asked([("HMGET", key, "totals", "updatedAt")])
            self._updated = None if updated is None else bytes(updated).decode(errors="replace")
            return Totals() if body is None else self._check(_TOTALS, body, f"field totals of the key {key}")
        except RedisProblem as problem:
            raise _unavailable(problem) from None

    async def health(self) -> Health:
        """Whether Redis answers now."""
        try:
            # A Redis that cannot save refuses PING, and can be read.
            (updated,) = await self._asked([("HGET", self._layout.totals, "updatedAt")])
        except RedisProblem:
            return Health.AWAY
        self._updated = None if updated is None else bytes(updated).decode(errors="replace")
        return Health.REACHABLE

    async def close(self) -> None:
        await self.connection.close()

    async def _asked(self, commands: list[tuple[str, ...]]) -> list[Any]:
        try:
            answers = await self.connection.pipeline(commands)
        except RedisProblem as problem:
            if self.problem is None or self.problem.trouble is not problem.trouble:
                log.warning("Redis does not answer with views", why=problem.what, todo=problem.trouble.value)
            self.problem = problem
            raise
        if self.problem is not None:
            log.info("Redis answers again", redis=self.connection.shown)
        self.problem = None
        return answers

    def _check(self, decoder: msgspec.json.Decoder[Any], body: bytes, place: str) -> Any:
        """The decoded body. Other programs can write to Redis, and other releases of this one.

        Raises:
            RedisProblem: it is not of its shape.
        """
        try:
            return decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RedisProblem(
                Trouble.UNREADABLE, f"Redis at {self.connection.shown}: {place} is none of this release: {error}"
            ) from None

    def _by_key(self, kind: Kind, first_ms: int, last_ms: int) -> list[tuple[str, list[int]]]:
        """The windows that start in that time, by the key that has them."""
        first = -(-first_ms // kind.length_ms) * kind.length_ms
        groups: list[tuple[str, list[int]]] = []
        for start in range(key_start(kind, first), last_ms + 1, span_ms(kind)):
            starts = range(max(start, first), min(start + span_ms(kind), last_ms + 1), kind.length_ms)
            if starts:
                groups.append((self._layout.windows(kind, start), list(starts)))
        return groups


def _unavailable(problem: RedisProblem | str | None) -> StorageUnavailable:
    error = StorageUnavailable(str(problem))
    error.retry_after = RETRY_AFTER_SECONDS
    return error
