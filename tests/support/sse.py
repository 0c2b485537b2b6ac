"""A reader of Server-Sent Events on a connection of its own, as a browser's EventSource."""

from __future__ import annotations

import json
import time
from typing import Any

from support.harness import RunningServer

PATIENCE = 20.0


class Tail:
    """One connection to `/tail`. `id` is what a browser would send when it comes back."""

    def __init__(self, server: RunningServer, stream: str = "logs", query: str = "", last: str | None = None) -> None:
        self.id = last or ""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.ids: list[str] = []
        """The id that a client has when it has had so many events."""
        self.comments = 0
        self.pieces = 0
        self.ended = False
        self._buffer = b""
        self._text = b""
        self.connection = server.connect()
        headers = {**server.headers, "host": "tail", **({} if last is None else {"last-event-id": last})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.connection.sendall(f"GET /api/v1/streams/{stream}/tail{query} HTTP/1.1\r\n{lines}\r\n".encode())
        self.status, self.headers = self._head()
        self.body = self._rest() if self.status != 200 else b""

    def _head(self) -> tuple[int, str]:
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        return int(head.split()[1]), head.decode().lower()

    def _rest(self) -> bytes:
        length = int(self.headers.split("content-length: ")[1].split("\r\n")[0])
        while len(self._buffer) < length:
            self._receive()
        return self._buffer

    def _receive(self) -> None:
        piece = self.connection.recv(1 << 20)
        if not piece:
            self.ended = True
            raise ConnectionError("the server closed the connection")
        self._buffer += piece

    def read(self) -> None:
        """Takes in at least one more piece."""
        while not self._take_chunk():
            self._receive()

    def _take_chunk(self) -> bool:
        size, line, rest = self._buffer.partition(b"\r\n")
        if not line:
            return False
        length = int(size, 16)
        if len(rest) < length + 2:
            return False
        self._buffer = rest[length + 2 :]
        self.ended = length == 0
        self.pieces += 1
        self._text += rest[:length]
        *blocks, self._text = self._text.split(b"\n\n")
        for block in blocks:
            self._take(block.decode())
        return True

    def _take(self, block: str) -> None:
        kind, data = "message", None
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            if name == "id":
                self.id = value
            elif name == "event":
                kind = value
            elif name == "data":
                assert data is None, "one line of data an event"
                data = value
            elif line.startswith(":"):
                self.comments += 1
            else:
                assert name == "retry", line
        if data is not None:
            self.events.append((kind, json.loads(data)))
            self.ids.append(self.id)

    def messages(self, count: int) -> list[dict[str, Any]]:
        """At least `count` events in all that it has had."""
        deadline = time.monotonic() + PATIENCE
        while len(self.data()) < count:
            assert not self.ended, f"it ended after {len(self.events)}"
            assert time.monotonic() < deadline, f"only {len(self.events)} events of {count}"
            self.read()
        return self.data()

    def data(self) -> list[dict[str, Any]]:
        return [data for kind, data in self.events if kind == "message"]

    def to_the_end(self) -> list[tuple[str, dict[str, Any]]]:
        try:
            while not self.ended:
                self.read()
        except (TimeoutError, ConnectionError):
            assert self.ended, "it did not end"
        return self.events

    def close(self) -> None:
        self.connection.close()
