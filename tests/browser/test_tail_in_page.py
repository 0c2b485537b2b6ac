"""The example of docs/streams.md in a browser: `EventSource` comes back over every loss, without loss or repeats."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.harness import RunningServer, batch, event, wait_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60.0


def example() -> str:
    text = (ROOT / "docs/streams.md").read_text()
    [code] = re.findall(r"```js\n(.*?)```", text, re.DOTALL)
    return str(code)


class Wire:
    """Passes bytes on to a server, whose port may change, until it is cut."""

    def __init__(self, url: str) -> None:
        self.to(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def to(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._server)
                except OSError:
                    client.close()
                    continue
                self._open += [client, server]
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := one.recv(1 << 16):
                other.sendall(piece)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Every connection is lost, as a network loses them."""
        lost, self._open = self._open, []
        for each in lost:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path / "data", auth=True).start()
    yield server
    server.stop()


@pytest.fixture
def wire(running: RunningServer) -> Iterator[Wire]:
    wire = Wire(running.url)
    yield wire
    wire.close()


def seen(page: Any) -> list[str]:
    return list(page.evaluate("window.seen.map((data) => data.value.message)"))


def shows(page: Any, count: int) -> None:
    wait_for(f"{count} events", lambda: len(seen(page)) >= count, PATIENCE)


def opened(page: Any, wire: Wire, token: str) -> None:
    page.goto(f"{wire.url}/docs")
    page.evaluate(
        "([code, token]) => { window.seen = []; window.sources = []; const Real = window.EventSource;"
        "  window.EventSource = class extends Real { constructor(url) { super(url); window.sources.push(url); } };"
        "  const follow = (0, eval)('(' + code + ')');"
        "  return follow('/api/v1/streams/logs/tail', token, (data) => window.seen.push(data)); }",
        [example().strip(), token],
    )
    wait_for("the source", lambda: page.evaluate("window.sources.length > 0"))


def test_connections_are_lost_and_nothing_else(page: Any, running: RunningServer, wire: Wire) -> None:
    opened(page, wire, running.first_token())
    # Until it is there: what came before is not asked for.
    wait_for("the tail", lambda: (running.drain(batch(event("first"))), len(seen(page)) > 0)[1], PATIENCE)
    begun = len(seen(page))
    for number in range(10):
        running.drain(batch(event(f"{number}"))).raise_for_status()
        if number % 2:
            wire.cut()
            running.drain(batch(event(f"{number} away"))).raise_for_status()
    told = [text for number in range(10) for text in ([f"{number}", f"{number} away"] if number % 2 else [f"{number}"])]
    wait_for("all of it", lambda: seen(page)[-1] == told[-1], PATIENCE)
    shown = seen(page)
    assert [text for text in shown if text != "first"] == told
    assert shown[:begun] == ["first"] * begun
    assert page.evaluate("window.sources.length") == 1, "the browser came back by itself, with the same address"


def test_a_new_server_process_is_met_with_a_position(page: Any, running: RunningServer, wire: Wire) -> None:
    """Its tickets are unknown there: the page makes another one."""
    token = running.first_token()
    opened(page, wire, token)
    wait_for("the tail", lambda: (running.drain(batch(event("first"))), len(seen(page)) > 0)[1], PATIENCE)
    running.kill()
    wire.cut()
    running.start()
    running.drain(batch(event("between"))).raise_for_status()
    wire.to(running.url)
    running.drain(batch(event("after"))).raise_for_status()
    wait_for("what came after", lambda: seen(page)[-1] == "after", PATIENCE)
    assert seen(page)[-2:] == ["between", "after"]
    assert "position=" in page.evaluate("window.sources.at(-1)")
