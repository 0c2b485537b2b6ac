"""The end of one WebSocket, over a real connection whose server below is the test's own."""

from __future__ import annotations

import asyncio
import socket
import struct
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.server.http import websocket
from forebay.server.http.websocket import GOING_AWAY, WebSocket

CLOSE_FRAME = b"\x88\x02" + struct.pack("!H", GOING_AWAY)


class Below:
    """Sends when the test says so."""

    def __init__(self) -> None:
        self.sent = False
        self.closed = False

    def send_str(self, _text: str) -> Below:
        return self

    def done(self) -> bool:
        return self.sent

    def close(self) -> None:
        self.closed = True


class Connected:
    """Finds the test's own connection."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname())
            self.server, _ = listener.accept()
        self.client.setblocking(False)

    def find(self, _client: str) -> socket.socket:
        return self.server


async def opened(below: Below, connected: Connected) -> WebSocket:
    found = WebSocket(cast("Any", SimpleNamespace(client="")), cast("Any", below), cast("Any", below))
    found.find(cast("Any", connected))
    return found


async def read(client: socket.socket) -> bytes:
    async with asyncio.timeout(10):
        return await asyncio.get_running_loop().sock_recv(client, 100)


def test_a_close_waits_for_the_message_before_it() -> None:
    async def scenario() -> None:
        below, connected = Below(), Connected()
        there = await opened(below, connected)
        there.send("figures")
        there.close(GOING_AWAY)
        assert there.open
        assert not below.closed
        below.sent = True
        assert await read(connected.client) == CLOSE_FRAME
        there.end()
        connected.client.close()

    asyncio.run(scenario())


def test_who_takes_no_message_is_ended_without_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.1)

    async def scenario() -> None:
        below, connected = Below(), Connected()
        there = await opened(below, connected)
        there.send("figures")
        there.close(GOING_AWAY)
        assert await read(connected.client) == b""
        assert below.closed
        assert not there.open
        connected.client.close()

    asyncio.run(scenario())
