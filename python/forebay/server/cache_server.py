"""`forebay cache`: a process that answers with the views in Redis. It computes nothing and writes nothing."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import structlog
import uvloop

from forebay import errors
from forebay._forebay import MemoryBudget
from forebay.cache.redis.connection import Connection
from forebay.cache.redis.layout import DEFAULT_PREFIX, Layout
from forebay.cache.redis.redis_cache import RedisCache
from forebay.errors import ConfigError
from forebay.server import open_files
from forebay.server.api import cache_process
from forebay.server.config import is_loopback
from forebay.server.http.auth import Authenticator
from forebay.server.http.deliveries import Deliveries
from forebay.server.http.dispatcher import Dispatcher
from forebay.server.http.gateway import Gateway
from forebay.server.http.listener import listen
from forebay.server.http.router import Router
from forebay.server.http.tasks import Tasks
from forebay.server.http.tickets import Tickets
from forebay.server.http.tokens import TokenStore

log = structlog.get_logger("forebay.cache")

T = TypeVar("T")

CONNECTIONS = 256
"""Connections that are served at once, each with at most one answer in memory; further ones wait in the backlog."""

SCRAPE_SECONDS = 10.0
"""Bounds a scrape, which reads files of the kernel."""

STOP_SECONDS = 10.0
"""How long a stop waits for requests under way."""

REFRESH_SECONDS = 0.5
"""How often the token file is looked at."""

PROBE_SECONDS = 2.0
"""How often Redis is asked how it is."""

BODY_BYTES = 1 << 20
BODY_SECONDS = 10.0
"""No route takes a body; what is sent nevertheless is refused within this."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(slots=True, frozen=True)
class CacheOptions:
    """What `forebay cache` is told.

    Attributes:
        url: the address of Redis.
        tokens: the directory that has `tokens.json`; None without authentication.
    """

    url: str
    prefix: str = DEFAULT_PREFIX
    host: str = "127.0.0.1"
    port: int = 8081
    tokens: str | None = None
    no_auth: bool = False
    insecure: bool = False

    def check(self) -> None:
        """
        Raises:
            ConfigError: it is not said who may read.
        """
        if (self.tokens is None) != self.no_auth:
            raise ConfigError(
                "say who may read the views: --tokens with the directory that has a server's tokens.json, or --no-auth"
            )
        if self.no_auth and not self.insecure and not is_loopback(self.host):
            raise ConfigError(
                f"without authentication, listening on {self.host} lets anybody on the network read; "
                "give --tokens, listen on 127.0.0.1, or add --insecure if that is what you want"
            )


def serve(options: CacheOptions) -> None:
    """Serves until SIGTERM or SIGINT. Redis may be away at the start and later.

    Raises:
        ConfigError: an option is wrong, the package `redis` is missing, the tokens cannot be read, or the address
            cannot be listened on.
    """
    options.check()
    open_files.raise_limit()
    guarded = Authenticator(None if options.tokens is None else TokenStore(options.tokens))
    layout = Layout(options.prefix)
    # Made before the loop is there, since it connects to nothing yet and refuses wrong addresses.
    Connection(options.url)
    listener = listen(options.host, options.port)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(options, layout, guarded, listener))
    finally:
        listener.close()
    log.info("stopped")


class CacheServer:
    """The services of one such process."""

    def __init__(self, reader: RedisCache, authenticator: Authenticator) -> None:
        self.reader = reader
        self.tasks = Tasks()
        self._authenticator = authenticator
        self._scrapers = ThreadPoolExecutor(1, thread_name_prefix="forebay-scrape")
        self.dispatcher = Dispatcher(
            Router(cache_process.routes(reader, self.blocking)),
            authenticator,
            Tickets(authenticator),
            self.tasks,
            deliveries=Deliveries(),
            memory_budget=MemoryBudget(BODY_BYTES),
            body_seconds=BODY_SECONDS,
        )

    async def blocking(self, call: Callable[..., T], *arguments: object) -> T:
        """Runs a call that blocks on a thread.

        Raises:
            Timeout: it takes too long.
        """
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._scrapers, call, *arguments)
        except TimeoutError:
            raise errors.Timeout(f"the figures were not there within {SCRAPE_SECONDS:g} seconds") from None

    async def token_refresh_loop(self) -> None:
        """Reads changed tokens, until it is cancelled."""
        while True:
            try:
                # On a thread, since a disk that hangs must not stop the event loop.
                await asyncio.to_thread(self._authenticator.refresh)
            except Exception as error:
                # Without the loop a token that is revoked later would stay valid for ever.
                log.exception("the tokens could not be read", error=str(error))
            await asyncio.sleep(REFRESH_SECONDS)

    async def probe_loop(self) -> None:
        """Asks Redis how it is, until it is cancelled: what is scraped says so also when nobody asks for views."""
        while True:
            await self.reader.health()
            await asyncio.sleep(PROBE_SECONDS)

    async def close(self) -> None:
        await self.tasks.close()
        await self.reader.close()
        self._scrapers.shutdown(wait=True)


async def _run(options: CacheOptions, layout: Layout, guarded: Authenticator, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    reader = RedisCache(Connection(options.url), layout)
    server = CacheServer(reader, guarded)
    server.tasks.spawn(server.token_refresh_loop())
    server.tasks.spawn(server.probe_loop())
    host, port = listener.getsockname()[:2]
    gateway = Gateway(listener, server.dispatcher.schedule, CONNECTIONS)
    gateway.start()
    try:
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        log.info("serving", url=url, redis=reader.connection.shown, prefix=layout.prefix)
        await stop.wait()
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        log.info("stopping")
    finally:
        if not await gateway.stop(STOP_SECONDS):
            log.warning("requests were still under way", seconds=STOP_SECONDS)
        await server.close()
