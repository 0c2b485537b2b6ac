"""The life of a server: it opens the log, listens, serves and stops."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket

import structlog
import uvloop

from forebay._forebay import Engine, Front, keep_heap
from forebay.server import open_files
from forebay.server.app import App
from forebay.server.config import Settings
from forebay.server.http.auth import Authenticator, authenticator
from forebay.server.http.gateway import Gateway, batch_scheduling
from forebay.server.http.listener import listen

log = structlog.get_logger("forebay.server")

LOOPBACK = "127.0.0.1"
"""The address of Granian, on a port of the kernel's choice. It asks for the same tokens as the front."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        ConfigError: the address cannot be listened on, or the process may open too few files.
        ForebayError: the log cannot be opened, or admitted events could not be committed on stopping.
    """
    keep_heap()
    settings = open_files.fitted(settings, open_files.raise_limit())
    listener = listen(settings.host, settings.port)
    try:
        engine = Engine(settings.data_dir, settings.engine_options())
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_run(settings, engine, authenticator(settings.data_dir, no_auth=settings.no_auth), listener))
        finally:
            engine.close()
    finally:
        listener.close()
    log.info("stopped")


async def _run(settings: Settings, engine: Engine, guarded: Authenticator, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    app = App(engine, settings, guarded)
    await app.blocking(engine.keep_history)
    await app.blocking(app.processors.start)
    await app.blocking(app.exports.start)
    stop = asyncio.Event()
    # The loop's own handlers would not do: closing the loop resets the signals to ending the process, and a second
    # signal would then interrupt the last commit, or make the exit status that of a killed process.
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    loop.add_reader(engine.completion_fd(), engine.drain_completions)
    app.spawn(app.refresh_loop())
    app.spawn(app.token_refresh_loop())
    app.spawn(app.processor_loop())
    app.spawn(app.health.run(app.stopping))
    app.spawn(app.views.run(app.stopping))
    app.spawn(app.infrastructure.run(app.stopping))
    app.spawn(app.reputation.run(app.stopping))
    host, port = listener.getsockname()[:2]
    behind = listen(LOOPBACK, 0)
    backend = behind.getsockname()[:2]
    gateway = Gateway(behind, app.dispatcher.schedule, settings.max_connections)
    gateway.start()
    app.front = front = _front(app, listener, backend)
    try:
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        log.info(
            "serving",
            url=url,
            page=f"{url}/docs",
            data_dir=settings.data_dir,
            durability=settings.durability,
        )
        await stop.wait()
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        log.info("stopping")
    finally:
        # Open streams end on this; the gateway waits for them.
        app.stopping.set()
        deadline = loop.time() + settings.shutdown_timeout_seconds
        front.begin_stop(settings.shutdown_timeout_seconds)
        # The gateway does not wait for WebSockets: what they send and receive would never be done once it has stopped.
        await app.websockets.wait_closed(settings.shutdown_timeout_seconds)
        served = await gateway.stop(deadline - loop.time())
        # The read pool would not do, since all of its threads may wait for a disk.
        if not (await asyncio.to_thread(front.join) and served):
            log.warning("requests were still under way", seconds=settings.shutdown_timeout_seconds)
        await app.close()
        loop.remove_reader(engine.completion_fd())


def _front(app: App, listener: socket.socket, backend: tuple[str, int]) -> Front:
    address, port = backend
    with batch_scheduling():
        front = Front(
            app.engine,
            listener.fileno(),
            (ipaddress.ip_address(address), port),
            memory_budget=app.memory_budget,
            body_limit=app.settings.max_body_bytes,
            body_seconds=app.settings.body_timeout_seconds,
            ack_seconds=app.settings.ack_timeout_seconds,
            connections=app.settings.max_connections,
        )
    # The front has a copy of the listener and closes the port when it stops.
    listener.close()
    front.set_principals(app.authenticator.ingesting())
    return front
