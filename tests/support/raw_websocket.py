"""A WebSocket without a library, for what a library does not do: read nothing, answer nothing, send garbage."""

from __future__ import annotations

import base64
import contextlib
import os
import select
import struct
import time

from support.harness import RunningServer, answer

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
READ_SECONDS = 20.0


def frame(opcode: int, payload: bytes, *, last: bool = True, masked: bool = True) -> bytes:
    """RFC 6455, section 5.2."""
    head = bytes([opcode | (0x80 if last else 0)])
    mark = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([len(payload) | mark])
    elif len(payload) < 1 << 16:
        head += struct.pack("!BH", 126 | mark, len(payload))
    else:
        head += struct.pack("!BQ", 127 | mark, len(payload))
    # A mask of zeros leaves the payload as it is.
    return head + (bytes(4) if masked else b"") + payload


class Raw:
    """One connection that asked for an upgrade."""

    def __init__(self, server: RunningServer, path: str = "/ws", **headers: str) -> None:
        self.connection = server.connect()
        self._rest = b""
        rows = {
            "host": server.url.removeprefix("http://"),
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
            **server.headers,
            **headers,
        }
        text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in rows.items() if value)
        self.connection.sendall(f"GET {path} HTTP/1.1\r\n{text}\r\n".encode())

    def head(self) -> bytes:
        """The status line and headers of the answer, when it is an upgrade's."""
        while b"\r\n\r\n" not in self._rest:
            piece = self.connection.recv(65536)
            assert piece, self._rest
            self._rest += piece
        head, self._rest = self._rest.split(b"\r\n\r\n", 1)
        return head

    def opened(self) -> Raw:
        assert self.head().startswith(b"HTTP/1.1 101 ")
        return self

    def refusal(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; the connection is closed behind it."""
        found = answer(self.connection)
        assert self.connection.recv(1) == b"", "it was left open"
        return found

    def read(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame; (-1, b"") at the end."""
        while True:
            if len(self._rest) >= 2:
                length, begin = self._rest[1] & 0x7F, 2
                if length == 126 and len(self._rest) >= 4:
                    length, begin = struct.unpack("!H", self._rest[2:4])[0], 4
                if length < 126 or begin == 4:
                    whole = begin + length
                    if len(self._rest) >= whole:
                        found, self._rest = self._rest[:whole], self._rest[whole:]
                        return found[0] & 0x0F, found[begin:]
            with contextlib.suppress(ConnectionResetError):
                piece = self.connection.recv(65536)
                self._rest += piece
                if piece:
                    continue
            return -1, b""

    def until(self, opcode: int) -> bytes:
        """The payload of the next frame of that kind."""
        deadline = time.monotonic() + READ_SECONDS
        while time.monotonic() < deadline:
            found, payload = self.read()
            if found == opcode:
                return payload
            assert found != -1, f"the connection ended before a frame of opcode {opcode}"
        raise AssertionError(f"no frame of opcode {opcode}")

    def close_code(self) -> int:
        payload = self.until(CLOSE)
        return int(struct.unpack("!H", payload[:2])[0]) if payload else 1005

    def send(self, opcode: int, payload: bytes = b"", **more: bool) -> None:
        self.connection.sendall(frame(opcode, payload, **more))

    def broken(self) -> bool:
        """Returns whether the server has broken the connection off, without reading from it."""
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        return bool(poll.poll(0))

    def close(self) -> None:
        self.connection.close()
