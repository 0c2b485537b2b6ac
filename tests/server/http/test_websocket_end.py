"""The end of one WebSocket, over a server below and a front that are the test's own."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
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


class Tunnel:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.last: list[bytes] = []
        self.inserted: list[bytes] = []
        self.hung_up = False

    def insert(self, data: bytes) -> None:
        self.inserted.append(data)

    def insert_last(self, data: bytes) -> None:
        self.last.append(data)

    def hang_up(self) -> None:
        self.hung_up = True


def opened(below: Below, tunnel: Tunnel | None) -> WebSocket:
    return WebSocket(cast("Any", below), cast("Any", below), cast("Any", tunnel))


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 # the timers under test set no event
        await asyncio.sleep(0.001)


def test_a_close_waits_for_the_message_before_it() -> None:
    async def scenario() -> None:
        below, tunnel = Below(), Tunnel()
        there = opened(below, tunnel)
        there.send("figures")
        assert not there.ping()
        there.close(GOING_AWAY)
        assert there.open
        assert (below.closed, tunnel.last) == (False, [])
        below.sent = True
        await until(lambda: tunnel.last)
        assert tunnel.last == [CLOSE_FRAME]
        there.end()
        assert (below.closed, tunnel.hung_up) == (True, True)

    asyncio.run(scenario())


@pytest.mark.parametrize("sent", [False, True], ids=["takes no message", "answers no close"])
def test_who_does_not_read_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch, sent: bool) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.1)

    async def scenario() -> None:
        below, tunnel = Below(), Tunnel()
        there = opened(below, tunnel)
        there.send("figures")
        below.sent = sent
        there.close(GOING_AWAY)
        await until(lambda: not there.open)
        assert below.closed
        assert tunnel.hung_up
        assert tunnel.last == [CLOSE_FRAME] * sent

    asyncio.run(scenario())


def test_who_did_not_come_through_the_front_is_closed_without_a_code() -> None:
    async def scenario() -> None:
        below = Below()
        there = opened(below, None)
        assert there.received is None
        assert not there.ping()
        there.close(GOING_AWAY)
        assert below.closed
        assert not there.open

    asyncio.run(scenario())
