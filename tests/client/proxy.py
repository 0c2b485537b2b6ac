"""Between a client and a server: passes requests on, or does to them what networks and servers do."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate

FAULTS = ("refuse", "reset", "stall", "cut", "half", "429", "date", "500", "408", "drip", "nonsense")

PAGE = b"<html>log in to the wireless network</html>"


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    raw: bytes = b""

    @property
    def key(self) -> str:
        return self.headers.get("idempotency-key", "")


@dataclass
class Answer:
    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)

    def raw(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} X", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


class Listener:
    """Takes connections, a thread each."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                taken, _ = self._socket.accept()
            except OSError:
                return
            taken.settimeout(30)
            self._open.add(taken)
            threading.Thread(target=self._serve, args=(taken,), daemon=True).start()

    def _serve(self, taken: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.serve(taken)
        self._open.discard(taken)
        taken.close()

    def serve(self, taken: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for taken in list(self._open):
            with contextlib.suppress(OSError):
                taken.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def wait(self, seconds: float) -> None:
        """Unless the listener ends before."""
        self._ended.wait(seconds)


def requests(taken: socket.socket, half: Callable[[], bool] = lambda: False) -> Iterator[Request]:
    """The requests of a connection. `half` may end one in the middle of its body."""
    held = b""
    while True:
        while (end := held.find(b"\r\n\r\n")) < 0:
            if not (more := taken.recv(1 << 16)):
                return
            held += more
        first, *rest = held[:end].decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        whole = end + 4 + int(headers.get("content-length", "0"))
        if half():
            taken.recv(1)
            return
        while len(held) < whole:
            if not (more := taken.recv(1 << 16)):
                return
            held += more
        yield Request(first.split()[1], headers, held[end + 4 : whole], held[:whole])
        held = held[whole:]


class Proxy(Listener):
    """Before a real server. `faults` are drawn from with each request, with `share` of the requests; none at 0."""

    def __init__(self, server_port: int, seed: int = 1, stall_seconds: float = 1.0) -> None:
        self.server_port = server_port
        self.share = 0.0
        self.faults: tuple[str, ...] = FAULTS
        self.seen: dict[str, int] = {}
        self._random = random.Random(seed)
        self._stall = stall_seconds
        super().__init__()

    def _draw(self) -> str:
        fault = self._random.choice(self.faults) if self._random.random() < self.share else ""
        self.seen[fault] = self.seen.get(fault, 0) + 1
        return fault

    def serve(self, taken: socket.socket) -> None:
        fault = self._draw()
        if fault == "refuse":
            return
        drawn = [fault]
        for request in requests(taken, lambda: drawn[0] == "reset"):
            if not self._exchange(taken, request, drawn[0]):
                return
            drawn[0] = self._draw()
        if drawn[0] == "reset":
            # RST instead of FIN.
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _exchange(self, taken: socket.socket, request: Request, fault: str) -> bool:
        """Answers one request; returns whether the connection goes on."""
        if fault in ("refuse", "stall"):
            self.wait(self._stall if fault == "stall" else 0)
            return False
        if fault in ("429", "500", "408"):
            headers = {"Retry-After": "0"} if fault == "429" else {}
            taken.sendall(Answer(int(fault), b'{"error":"no","code":"x"}', headers).raw())
            return True
        if fault == "date":
            taken.sendall(Answer(503, b"busy", {"Retry-After": formatdate(time.time() + 0.3, usegmt=True)}).raw())
            return True
        if fault == "nonsense":
            taken.sendall(Answer(200, PAGE).raw())
            return True
        answer = self._passed_on(request)
        if fault == "cut":
            return False
        if fault == "half":
            taken.sendall(answer[: len(answer) // 2])
            return False
        if fault == "drip":
            for at in range(len(answer)):
                taken.sendall(answer[at : at + 1])
                self.wait(self._stall / 20)
            return True
        taken.sendall(answer)
        return True

    def _passed_on(self, request: Request) -> bytes:
        with socket.create_connection(("127.0.0.1", self.server_port), 30) as upstream:
            upstream.sendall(request.raw.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            pieces = []
            while piece := upstream.recv(1 << 16):
                pieces.append(piece)
        answer = b"".join(pieces)
        if not answer:
            raise OSError("the server gave no answer")
        return answer.replace(b"connection: close\r\n", b"", 1)


class Scripted(Listener):
    """Answers as a function says; None closes the connection without a word."""

    def __init__(self, answer: Callable[[Request], Answer | None]) -> None:
        self.answer = answer
        self.seen: list[Request] = []
        super().__init__()

    def serve(self, taken: socket.socket) -> None:
        for request in requests(taken):
            self.seen.append(request)
            answer = self.answer(request)
            if answer is None:
                return
            taken.sendall(answer.raw())


@contextlib.contextmanager
def scripted(answer: Callable[[Request], Answer | None]) -> Iterator[Scripted]:
    server = Scripted(answer)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def faulty(server_url: str, seed: int = 1, stall_seconds: float = 1.0) -> Iterator[Proxy]:
    proxy = Proxy(int(server_url.rsplit(":", 1)[1]), seed, stall_seconds)
    try:
        yield proxy
    finally:
        proxy.close()


DURABLE = {"Forebay-Durability": "fsync"}
"""Every acknowledgement of a server has it."""


def stored(body: bytes, status: int = 202) -> Answer:
    """Acknowledges a request in the way of a forebay server."""
    return Answer(status, body, dict(DURABLE))


def accepted(_request: Request) -> Answer:
    return stored(b'{"status":"accepted","quarantined":0}')
