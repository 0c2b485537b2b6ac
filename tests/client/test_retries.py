"""When a request is tried again, and when not."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from client.proxy import Answer, Request, Scripted, accepted, requests, scripted
from forebay.client import Client, Rejection
from forebay.client.transport import (
    BACKOFF_LIMIT_SECONDS,
    RETRY_AFTER_LIMIT_SECONDS,
    Connection,
    Target,
    backoff,
    is_retried,
    retry_after,
)


def steps(*answers: Answer | None) -> Any:
    left: Iterator[Answer | None] = iter(answers)
    return lambda request: next(left, accepted(request))


def test_waits_are_jittered_grow_and_are_bounded() -> None:
    first = [backoff(0) for _ in range(200)]
    assert 0 <= min(first) < max(first) <= 0.1
    late = [backoff(1000) for _ in range(200)]
    assert min(late) < BACKOFF_LIMIT_SECONDS / 2 < max(late) <= BACKOFF_LIMIT_SECONDS


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("3", 3),
        (" 2 ", 2),
        ("-1", 0),
        ("soon", 0),
        ("999999999", RETRY_AFTER_LIMIT_SECONDS),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37", 0),
        ("Sun, 99 Nov 9999 08:49:37 GMT", 0),
        ("Fri, 31 Dec 9998 23:59:59 GMT", RETRY_AFTER_LIMIT_SECONDS),
    ],
)
def test_retry_after(value: str | None, seconds: float) -> None:
    assert retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    assert 8 < retry_after(formatdate(time.time() + 10, usegmt=True)) <= 10


def test_what_is_tried_again() -> None:
    assert [status for status in range(400, 600) if is_retried(status)] == [408, 429, *range(500, 600)]


def test_a_retry_has_the_same_key_and_body_and_obeys_retry_after() -> None:
    busy = Answer(429, b'{"error":"server saturated"}', {"Retry-After": "1"})
    with scripted(steps(busy, None, Answer(503), Answer(408), Answer(200, b"<html>"))) as server:
        started = time.monotonic()
        with Client(server.url, "secret") as client:
            client.log("a")
            client.log("b")
            assert client.flush() == 0
        assert time.monotonic() - started >= 1
        # The connection that was closed without an answer had been answered on before: that one cost no wait.
        assert (client.stats().retries, client.stats().delivered) == (4, 2)
    assert len(server.seen) == 6
    assert len({(request.key, request.body) for request in server.seen}) == 1
    headers = server.seen[0].headers
    assert headers["authorization"] == "Bearer secret"
    assert headers["forebay-on-invalid"] == "quarantine"


@pytest.mark.parametrize("status", [401, 404, 415, 422])
def test_other_refusals_are_final_and_told(status: int, tmp_path: Path) -> None:
    told: list[Rejection] = []
    refusal = Answer(status, b'{"error":"no such thing","code":"x"}')
    path = tmp_path / "rejected"
    with (
        scripted(lambda _: refusal) as server,
        Client(server.url, on_rejected=told.append, rejected_file=path) as client,
    ):
        client.log("a")
        client.log("b")
        assert client.flush() == 0
        assert (client.stats().rejected, client.stats().delivered, client.stats().retries) == (2, 0, 0)
    assert len(server.seen) == 1
    assert [json.loads(row.event or b"")["message"] for row in told] == ["a", "b"]
    assert {row.reason for row in told} == {f"{status}: no such thing"}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["lane"], row["event"]["message"]) for row in rows] == [("drain", "a"), ("drain", "b")]


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_callback_that_raises_does_not_end_the_sender(error: type[BaseException]) -> None:
    def raises(_: Rejection) -> None:
        raise error("the application's")

    with scripted(steps(Answer(401))) as server, Client(server.url, on_rejected=raises) as client:
        client.log("refused")
        assert client.flush() == 0
        assert (client.stats().rejected, client.stats().pending) == (1, 0)
        assert "the application's" in client.stats().last_error
        client.log("taken")
        assert client.flush() == 0
        assert client.stats().delivered == 1


def test_what_fails_in_telling_of_a_rejection_does_not_keep_it_pending(
    tmp_path: Path,
) -> None:
    """The file cannot be written, and the application's own logging raises when it is told."""

    class Raises(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError(record.getMessage())

    log, raises = logging.getLogger("forebay.client"), Raises()
    log.addHandler(raises)
    try:
        with scripted(steps(Answer(401))) as server, Client(server.url, rejected_file=tmp_path) as client:
            client.log("refused")
            assert client.flush() == 0
            assert (client.stats().rejected, client.stats().pending) == (1, 0)
            client.log("taken")
            assert client.flush() == 0
            assert client.stats().delivered == 1
            assert len(server.seen) == 2, "the refused one is not sent again"
    finally:
        log.removeHandler(raises)


def test_close_gives_up_in_time_and_tells_what_is_left() -> None:
    with scripted(lambda _: Answer(503, b"", {"Retry-After": "60"})) as server:
        client = Client(server.url)
        client.log_many(["x"] * 10)
        started = time.monotonic()
        assert client.close(0.2) == 10
        assert time.monotonic() - started < 5
        assert client.stats().pending == 10


def test_a_connection_that_was_closed_for_being_idle_costs_no_wait() -> None:
    taken = 0

    def once_a_connection(request: Request) -> Answer:
        nonlocal taken
        taken += 1
        answer = accepted(request)
        return Answer(answer.status, answer.body, answer.headers | ({"Connection": "close"} if taken % 2 else {}))

    with scripted(once_a_connection) as server, Client(server.url, linger_seconds=0) as client:
        for number in range(5):
            client.log(str(number))
            assert client.flush() == 0
        assert (client.stats().retries, client.stats().batches) == (0, 5)


def test_an_answer_that_drips_is_given_up_at_the_deadline() -> None:
    class Dripping(Scripted):
        def serve(self, taken: socket.socket) -> None:
            for request in requests(taken):
                for byte in accepted(request).raw():
                    taken.sendall(bytes([byte]))
                    self.wait(0.4)

    server = Dripping(accepted)
    connection = Connection(Target.parse(server.url, None), 0.5)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        connection.post("/", "", b"{}")
    # The whole answer would take longer than that.
    assert 0.4 < time.monotonic() - began < len(accepted(Request("/", {}, b"{}")).raw()) * 0.4 / 2
    server.close()


def test_an_answer_that_is_cut_short_or_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forebay.client.transport.ANSWER_BYTES", 100)
    for raw in (
        b"HTTP/1.1 202 X\r\nContent-Length: 20\r\n\r\n{}",
        b"HTTP/1.1 202 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 202 X\r\nContent-Length: 101\r\n\r\n" + b" " * 101,
        b"HTTP/1.1 202 X\r\n\r\n" + b" " * 101,
        b"nonsense\r\n\r\n",
        b"",
    ):

        class Fixed(Scripted):
            def serve(self, taken: socket.socket, raw: bytes = raw) -> None:
                next(requests(taken))
                taken.sendall(raw)

        server = Fixed(accepted)
        connection = Connection(Target.parse(server.url, None), 5)
        with pytest.raises((OSError, http.client.HTTPException)):
            connection.post("/", "", b"{}")
        server.close()


def test_a_refusal_before_the_body_was_read_is_heard() -> None:
    class Hasty(Scripted):
        def serve(self, taken: socket.socket) -> None:
            taken.recv(1000)
            taken.sendall(Answer(413, b'{"error":"too large"}', {"Connection": "close"}).raw())
            taken.shutdown(socket.SHUT_WR)
            while taken.recv(1 << 20):
                pass

    server = Hasty(accepted)
    answer = Connection(Target.parse(server.url, None), 5).post("/", "", b"x" * (8 << 20))
    assert answer.status == 413
    server.close()


def test_retry_after_holds_for_every_connection() -> None:
    times: list[tuple[float, int]] = []
    lock = threading.Lock()

    def answer(request: Request) -> Answer:
        time.sleep(0.01)  # so that one connection is not enough
        with lock:
            status = 429 if len(times) == 40 else 202
            times.append((time.monotonic(), status))
        return accepted(request) if status == 202 else Answer(status, b"{}", {"Retry-After": "1"})

    with scripted(answer) as server, Client(server.url, batch_events=1, connections=3) as client:
        client.log_many(["x"] * 100)
        assert client.flush() == 0
        assert client.stats().retries == 1
    refused = next(at for at, status in times if status == 429)
    # The others may have been under way.
    assert sum(refused < at < refused + 0.9 for at, _ in times) <= 6


def test_a_sender_outlives_what_nobody_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = Target.connect, iter([LookupError("unknown encoding"), MemoryError()])

    def connect(target: Target, seconds: float) -> socket.socket:
        if (failure := next(failures, None)) is not None:
            raise failure
        return real(target, seconds)

    monkeypatch.setattr(Target, "connect", connect)
    with scripted(accepted) as server, Client(server.url) as client:
        client.log("a")
        assert client.flush() == 0
        assert (client.stats().delivered, client.stats().retries) == (1, 2)
    assert len(server.seen) == 1
