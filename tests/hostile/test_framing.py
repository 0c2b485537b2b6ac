"""Requests that lie about themselves on the level of HTTP/1.1 (RFC 9112), and senders that are slow on purpose."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.server.http.gateway import READ_BUFFER_BYTES
from support.harness import RunningServer, answer, batch, event, wait_for

BODY_SECONDS = 1.0
BODY = batch(event("hostile", project="hostile"))
LENGTH = str(len(BODY)).encode()
HEAD = b"POST /v1/drain HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("framing") / "data", body_timeout_seconds=BODY_SECONDS).start()
    yield running
    assert running.records() == []
    assert running.drain(batch(event("well"))).status_code == 202
    assert [line for line in running.log_lines() if line["level"] not in ("info", "warning")] == []
    running.stop()


def length(value: bytes, body: bytes = BODY, *more: bytes) -> bytes:
    return HEAD + b"".join(line + b"\r\n" for line in more) + b"Content-Length: " + value + b"\r\n\r\n" + body


def chunked(body: bytes, coding: bytes = b"chunked") -> bytes:
    return HEAD + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + body


def whole(body: bytes = BODY) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def is_closed(connection: socket.socket, seconds: float = 10.0) -> bool:
    """Reads what the server still says; returns whether it ends the connection."""
    connection.settimeout(seconds)
    with contextlib.suppress(ConnectionResetError):
        try:
            while connection.recv(65536):
                pass
        except TimeoutError:
            return False
    return True


REFUSED: dict[str, tuple[bytes, set[int]]] = {
    "negative length": (length(b"-5"), {400}),
    "signed length": (length(b"+" + LENGTH), {400}),
    "hexadecimal length": (length(b"0x10"), {400}),
    "no length": (length(b""), {400}),
    "length with a blank inside": (length(b"1 0"), {400}),
    "length beyond 64 bits": (length(b"9" * 30), {400}),
    "largest length": (length(b"18446744073709551615"), {400, 413, 431}),
    "length of exabytes": (length(b"9" * 19), {400, 413}),
    "two lengths": (length(LENGTH, BODY, b"Content-Length: 5"), {400}),
    "a list of lengths": (length(LENGTH + b", 5"), {400}),
    "a list of equal lengths": (length(LENGTH + b", " + LENGTH), {400}),
    "a length too short": (length(b"10"), {400}),
    "chunk size that is none": (chunked(b"zz\r\nabc\r\n0\r\n\r\n"), {400}),
    "negative chunk size": (chunked(b"-5\r\nabc\r\n0\r\n\r\n"), {400}),
    "chunk size beyond 64 bits": (chunked(b"f" * 17 + b"\r\n" + BODY), {400}),
    "chunk longer than its size": (chunked(b"1\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "chunk extensions of a megabyte": (chunked(b"1;" + b"a" * (1 << 20) + b"\r\nx\r\n0\r\n\r\n"), {400}),
    "trailers": (chunked(whole()[:-2] + b"A: b\r\n\r\n"), {400}),
    "gzip as transfer coding": (chunked(whole(), b"gzip, chunked"), {400}),
    "chunked is not last": (chunked(whole(), b"chunked, gzip"), {400}),
    "unknown transfer coding": (chunked(whole(), b"x"), {400}),
    "a blank before the colon": (length(LENGTH, BODY, b"X : a"), {400}),
    "a folded header": (length(LENGTH, BODY, b"X: a\r\n b"), {400}),
    "a NUL in a header": (length(LENGTH, BODY, b"X: a\0b"), {400}),
    "a bare return in a header": (length(LENGTH, BODY, b"X: a\rb"), {400}),
    "a header without a name": (length(LENGTH, BODY, b": a"), {400}),
    "more headers than are taken": (length(LENGTH, BODY, *(b"X%d: a" % n for n in range(2000))), {400, 431}),
    "headers of four megabytes": (length(LENGTH, BODY, b"X: " + b"a" * (4 << 20)), {400, 431}),
    "a path of 70 KB": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {400, 414}),
    "a path that is not UTF-8": (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "no path": (b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "HTTP/0.9": (b"GET /health\r\n\r\n", {400}),
    "HTTP/3.0": (b"GET /health HTTP/3.0\r\nHost: x\r\n\r\n", {400}),
    "TLS": (bytes.fromhex("16030100a5010000a10303") + b"x" * 200, {400}),
    "a method that is none": (b"\xff /health HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_lies_is_refused(target: RunningServer, name: str) -> None:
    request, statuses = REFUSED[name]
    with target.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        try:
            status, _, _ = answer(connection)
        except ConnectionResetError:
            # It had more to say than the server reads of a refused request: closed while the rest was under way.
            return
        assert status in statuses


def test_headers_are_bounded_by_the_read_buffer(target: RunningServer) -> None:
    # It is looked at between two reads, so a little more may pass.
    for size, expected in ((READ_BUFFER_BYTES - 2000, 200), (3 * READ_BUFFER_BYTES, 431)):
        with target.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * size + b"\r\n\r\n")
            assert answer(connection)[0] == expected


def test_a_length_and_chunks_at_once_end_the_connection(target: RunningServer) -> None:
    """RFC 9112, 6.3: the chunks count and the connection has to be closed, so that no second request is smuggled."""
    for lines in (length(LENGTH, b"", b"Transfer-Encoding: chunked"), chunked(b"")[:-2] + b"Content-Length: 5\r\n\r\n"):
        with target.connect() as connection:
            connection.sendall(lines + whole(b"{}") + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            status, headers, _ = answer(connection)
            assert (status, headers["connection"]) == (400, "close")
            assert is_closed(connection)


@pytest.mark.slow
@pytest.mark.parametrize(
    "start", [length(b"%d" % (len(BODY) + 5)), chunked(b"ffffffffffffff\r\nabc"), HEAD + b"Content-Le"]
)
def test_what_never_ends_is_ended(target: RunningServer, start: bytes) -> None:
    began = time.monotonic()
    with target.connect() as connection:
        connection.sendall(start)
        if start.startswith(HEAD + b"Content-Le") and b"\r\n\r\n" not in start:
            # Headers have a deadline of their own, below the application.
            assert is_closed(connection, 15)
            return
        status, headers, body = answer(connection)
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(body)["code"] == "request_timeout"
        assert is_closed(connection)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("request_head", [length(LENGTH, b""), chunked(b"%x\r\n" % len(BODY))])
def test_a_byte_now_and_then_does_not_hold_a_body_open(target: RunningServer, request_head: bytes) -> None:
    """The deadline is for the whole body, so a sender that trickles is dropped as one that stops."""
    began = time.monotonic()
    with target.connect() as connection:
        connection.sendall(request_head)
        for number in range(len(BODY)):
            if select.select([connection], [], [], 0.1)[0]:
                break
            connection.sendall(BODY[number : number + 1])
        assert answer(connection)[0] == 408
        assert BODY_SECONDS - 0.1 < time.monotonic() - began < BODY_SECONDS + 5
        assert is_closed(connection)


def descriptors(running: RunningServer) -> int:
    return len(list(Path(f"/proc/{running.pid}/fd").iterdir()))


@pytest.mark.parametrize("request_start", [length(LENGTH)[:-3], chunked(whole())[:-9]])
def test_senders_that_break_off_leave_nothing_behind(target: RunningServer, request_start: bytes) -> None:
    """Each would hold one of `max_connections` for ever."""
    assert target.drain(b"{}").status_code == 400
    before = descriptors(target)
    for reset in (False, True) * 20:
        with target.connect() as connection:
            connection.sendall(request_start)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_for("the end of the connections", lambda: descriptors(target) <= before + 3, 10)


def test_half_of_a_body_and_gone(target: RunningServer) -> None:
    for request in (length(LENGTH), chunked(whole())):
        for end in range(len(request) - len(BODY) // 2, len(request) - 7, 11):
            with target.connect() as connection:
                connection.sendall(request[:end])
    with target.connect() as connection:
        connection.sendall(length(LENGTH)[:-3])
        connection.shutdown(socket.SHUT_WR)
        status, headers, body = answer(connection)
        assert (status, headers["connection"]) == (400, "close")
        assert b"broke off" in body
        assert is_closed(connection)


@pytest.mark.slow
def test_connections_without_a_request_are_dropped(target: RunningServer) -> None:
    with target.connect() as connection:
        assert is_closed(connection, 15)
