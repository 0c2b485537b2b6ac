"""A connection to Redis, bounded in time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from forebay.cache.redis.address import HIDDEN, check_url, secrets_in, shown_url
from forebay.cache.redis.problem import RedisProblem, trouble_of
from forebay.errors import ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

CONNECT_SECONDS = 1.0

ANSWER_SECONDS = 1.0
"""The time that Redis has for each read and write of the socket."""

CALL_SECONDS = 2.0
"""The time for a whole call: connecting, waiting for a free connection, sending, the answer."""

READERS = 8
"""Connections of a process that answers from Redis. More calls at once wait for one of them, within their time."""


class Connection:
    """Calls to one Redis. Each ends within `CALL_SECONDS`, and none is tried again here.

    Attributes:
        shown: the address without the password.
        calls: how many there were.
        failures: how many of them failed.
    """

    def __init__(self, url: str, connections: int = READERS) -> None:
        """Connects to nothing yet.

        Raises:
            ConfigError: the address is wrong, or the package `redis` is missing.
        """
        check_url(url)
        self.shown = shown_url(url)
        self._secrets = secrets_in(url)
        self._client = _client(url)
        # A pool that blocks would do, but that of redis-py 5.0.1 waits for itself after a connection has failed.
        self._turns = asyncio.Semaphore(connections)
        self._scripts: dict[str, AsyncScript] = {}
        self.calls = 0
        self.failures = 0

    async def command(self, *arguments: str | bytes | int) -> Any:
        """The answer to one command.

        Raises:
            RedisProblem: there was none in time, or it is an error.
        """
        # The client has no types here.
        send: Callable[..., Awaitable[Any]] = self._client.execute_command
        return await self._call(lambda: send(*arguments))

    async def pipeline(self, commands: Sequence[Sequence[str | bytes | int]]) -> list[Any]:
        """The answers to several commands, which are sent at once.

        Raises:
            RedisProblem: one of them failed.
        """

        async def run() -> list[Any]:
            async with self._client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return await pipeline.execute()

        answers: list[Any] = await self._call(run)
        return answers

    async def script(self, text: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """The answer of a script. It is loaded again when Redis has lost it.

        Raises:
            RedisProblem: as `command`. Whether the script ran is unknown when there was no answer in time.
        """
        script = self._scripts.get(text)
        if script is None:
            script = self._scripts[text] = self._client.register_script(text)
        return await self._call(lambda: script(keys=keys, args=arguments))

    async def close(self) -> None:
        """Closes what is open."""
        # A connection that cannot be closed properly is gone anyway.
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CALL_SECONDS):
                await self._client.connection_pool.disconnect()

    async def _call(self, send: Callable[[], Awaitable[Any]]) -> Any:
        from redis.exceptions import RedisError

        self.calls += 1
        try:
            async with asyncio.timeout(CALL_SECONDS), self._turns:
                return await send()
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            self.failures += 1
            raise self._problem(error) from None

    def _problem(self, error: Exception) -> RedisProblem:
        text = str(error) or f"no answer within {CALL_SECONDS:g} seconds"
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return RedisProblem(trouble_of(error), f"Redis at {self.shown}: {text.rstrip('.')}")


def _client(url: str) -> Redis:
    try:
        from redis import asyncio as client
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise ConfigError(
            f"cache is {shown_url(url)}, and the package redis is not installed: pip install redis"
        ) from None
    try:
        pool = client.ConnectionPool.from_url(url)
        # Options of the address would win over arguments.
        pool.connection_kwargs.update(
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            # Who calls decides when to try again.
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
            client_name="forebay",
        )
        # Connections are made when they are needed, and only they know their options.
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError):
        raise ConfigError(f"cache is {shown_url(url)}, whose options are not those of redis-py") from None
    return client.Redis(connection_pool=pool)
