"""Sends prepared requests over keep-alive connections from this process, each with one request in flight: for bodies
that `forebay-load` does not make, and where the time of each acknowledgement is wanted."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

#: No server here takes longer for an answer.
ANSWER_LIMIT_S = 60.0
READ_BYTES = 65536
HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def request(path: str, body: bytes) -> bytes:
    """A request's bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class Answer:
    """Of a request that was answered with 2xx.

    Attributes:
        due: when it was to be sent, of the monotonic clock; in a closed loop when it was.
        at: when its answer was there.
    """

    due: float
    at: float


class Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_LIMIT_S)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.unsent = memoryview(b"")
        self._received = b""

    def write(self) -> bool:
        """Sends what the socket takes. Returns whether that was all."""
        while self.unsent:
            try:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
            except BlockingIOError:
                return False
        return True

    def read(self) -> bool:
        """Returns whether the answer is there. Raises RuntimeError when it is no 2xx."""
        try:
            piece = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return False
        if not piece:
            raise RuntimeError("the server closed a connection")
        self._received += piece
        end = self._received.find(HEAD_END)
        length = LENGTH.search(self._received, 0, end) if end >= 0 else None
        if length is None or len(self._received) < end + len(HEAD_END) + int(length[1]):
            return False
        answer, self._received = self._received, b""
        if not answer.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"a request was answered {answer[9:400].decode(errors='replace')}")
        return True


class Sender:
    """All connections to one server."""

    def __init__(self, port: int, connections: int) -> None:
        self._selector = selectors.DefaultSelector()
        # In turn, so that none is idle for so long that a server closes it.
        self._idle = deque(Connection(port) for _ in range(connections))
        self._connections = connections
        for one in self._idle:
            self._selector.register(one.socket, selectors.EVENT_READ, one)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()
        self._selector.close()

    def send(self, requests: Iterable[bytes], seconds: float, rate: float = 0.0) -> list[Answer]:
        """Sends what `requests` gives, for at most so long, and waits for all answers: `rate` requests a second,
        whatever the server does, or with 0 the next one when an answer is there. Answers are in the order in which they
        came.

        Raises:
            RuntimeError: an answer was no 2xx, or did not come.
        """
        answers: list[Answer] = []
        began, number, source = time.monotonic(), 0, iter(requests)
        following = next(source, None)
        while following is not None or len(self._idle) < self._connections:
            now = time.monotonic()
            due = began + number / rate if rate else now
            if due >= began + seconds:
                following = None
            elif following is not None and self._idle and due <= now:
                self._begin(self._idle.popleft(), following, due)
                number, following = number + 1, next(source, None)
                continue
            waits_for_clock = following is not None and self._idle
            self._wait(max(0.0, due - now) if waits_for_clock else ANSWER_LIMIT_S, answers)
        return answers

    def _begin(self, connection: Connection, data: bytes, due: float) -> None:
        connection.due, connection.unsent = due, memoryview(data)
        if not connection.write():
            self._selector.modify(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)

    def _wait(self, seconds: float, answers: list[Answer]) -> None:
        ready = self._selector.select(seconds)
        if not ready and seconds >= ANSWER_LIMIT_S and len(self._idle) < self._connections:
            raise RuntimeError(f"a request was not answered in {ANSWER_LIMIT_S:.0f} s")
        for key, events in ready:
            connection: Connection = key.data
            if events & selectors.EVENT_WRITE and connection.write():
                self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
            if events & selectors.EVENT_READ and connection.read():
                answers.append(Answer(connection.due, time.monotonic()))
                self._idle.append(connection)
