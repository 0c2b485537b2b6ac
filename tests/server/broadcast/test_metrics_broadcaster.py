"""The broadcaster serves one client, on a clock of the test's own."""

from __future__ import annotations

from typing import Any, cast

from forebay.server.broadcast.metrics import CREDIT_BYTES, CREDIT_PER_PUSH, HEADER_BYTES, STALL_SECONDS, Subscriber
from forebay.server.http.websocket import TOO_BIG

PING = 15.0


class Socket:
    """A `WebSocket` that does what a test wants, and notes what was done to it."""

    def __init__(self) -> None:
        self.sending = False
        self.received: int | None = 100
        self.takes_pings = True
        self.done: list[object] = []

    def send(self, text: str) -> None:
        self.done.append(text)

    def ping(self) -> bool:
        if self.takes_pings:
            self.done.append("ping")
        return self.takes_pings

    def close(self, code: int) -> None:
        self.done.append(code)

    def cut(self) -> None:
        self.done.append("cut")

    def end(self) -> None:
        self.done.append("end")

    def noted(self) -> list[object]:
        done, self.done = self.done, []
        return done


def client(socket: Socket) -> Subscriber:
    return Subscriber(cast("Any", socket), PING, 0.0)


def test_what_it_has_not_taken_is_not_added_to() -> None:
    socket = Socket()
    there = client(socket)
    there.push("a", 0)
    socket.sending = True
    there.push("b", 1)
    there.push("c", STALL_SECONDS)
    socket.sending = False
    there.push("d", STALL_SECONDS + 1)
    assert socket.noted() == ["a", "d"]


def test_one_that_stands_still_is_cut_off() -> None:
    socket = Socket()
    there = client(socket)
    there.push("a", 0)
    socket.sending = True
    there.push("b", STALL_SECONDS)
    assert socket.noted() == ["a"]
    there.push("c", STALL_SECONDS + 0.1)
    assert socket.noted() == ["cut"]


def test_one_that_answers_pings_stays() -> None:
    socket = Socket()
    there = client(socket)
    for now in range(1, 100):
        there.push("x", now)
        if socket.noted() == ["ping", "x"]:
            assert now % PING == 0
            assert socket.received is not None
            socket.received += 6


def test_one_that_gives_no_sign_of_life_is_cut_off() -> None:
    socket = Socket()
    there = client(socket)
    for now in range(1, 30):
        there.push("x", now)
    assert "cut" not in socket.noted()
    there.push("x", 30)
    assert socket.noted() == ["cut", "x"]


def test_a_ping_that_cannot_be_written_is_tried_again_for_a_while() -> None:
    socket = Socket()
    socket.takes_pings = False
    there = client(socket)
    for now in range(1, 30):
        there.push("x", now)
    assert set(socket.noted()) == {"x"}
    socket.takes_pings = True
    there.push("x", 29.5)
    assert socket.noted() == ["ping", "x"]
    socket.takes_pings = False
    socket.received = 106
    for now in range(45, 59):
        there.push("x", now)
    assert "cut" not in socket.noted()
    there.push("x", 60)
    assert socket.noted() == ["cut", "x"]


def test_where_the_system_does_not_tell_nobody_is_cut_off_for_silence() -> None:
    socket = Socket()
    socket.received = None
    there = client(socket)
    for now in range(1, 1000):
        there.push("x", now)
    assert set(socket.noted()) == {"x"}


def test_one_that_sends_much_at_once_is_closed() -> None:
    socket = Socket()
    there = client(socket)
    socket.received = HEADER_BYTES + CREDIT_BYTES
    there.push("a", 1)
    assert socket.noted() == ["a"], "its request may have been as long as that"
    socket.received += CREDIT_PER_PUSH
    there.push("b", 2)
    assert socket.noted() == ["b"]
    socket.received += CREDIT_PER_PUSH + 1
    there.push("c", 3)
    assert socket.noted() == [TOO_BIG, "end"]


def test_one_that_sent_much_before_the_first_look_is_closed() -> None:
    socket = Socket()
    socket.received = HEADER_BYTES + CREDIT_BYTES + 1
    client(socket).push("a", 1)
    assert socket.noted() == [TOO_BIG, "end"]


def test_one_that_sends_a_little_for_long_is_closed_too() -> None:
    socket = Socket()
    there = client(socket)
    for now in range(1, 10_000):
        socket.received = (socket.received or 0) + CREDIT_PER_PUSH + 64
        there.push("x", now)
        if socket.noted()[-1] == "end":
            break
    assert 1000 < now < 1100
    polite = Socket()
    there = client(polite)
    for now in range(1, 10_000):
        polite.received = (polite.received or 0) + CREDIT_PER_PUSH
        there.push("x", now)
    assert "end" not in polite.noted()
