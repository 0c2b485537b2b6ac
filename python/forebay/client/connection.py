"""One kept-alive HTTP connection, each exchange within a deadline of its own."""

from __future__ import annotations

import contextlib
import http.client
import io
import math
import socket
import time
from dataclasses import dataclass
from typing import cast

from forebay.client.target import Target

ANSWER_BYTES = 16 << 20
"""The longest answer that is read: 10,000 results of a publication are 2 MiB."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after: str | None
    body: bytes
    location: str | None = None
    durability: str | None = None


class Connection:
    """Connects when it has to. Not to be shared between threads."""

    def __init__(self, target: Target, seconds: float, until: float = math.inf) -> None:
        self._target = target
        self._seconds = seconds
        self._until = until
        self._head = target.head()
        self._socket: socket.socket | None = None
        self.used = False
        """Whether the connection has been answered on: one that then fails at once was closed for being idle."""

    def close(self) -> None:
        if self._socket is not None:
            # Nothing waits to be sent on it, so that nothing can be lost.
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None
        self.used = False

    def post(self, path: str, headers: str, body: bytes) -> Answer:
        """Posts and reads the answer, all within the connection's seconds. `headers` are whole lines.

        Raises:
            OSError, http.client.HTTPException: no answer. The outcome is unknown and the connection closed.
        """
        deadline = min(time.monotonic() + self._seconds, self._until)
        try:
            if self._socket is None:
                self._socket = self._target.connect(_left(deadline))
            return self._exchange(self._socket, path, headers, body, deadline)
        except BaseException:
            self.close()
            raise

    def _exchange(self, sock: socket.socket, path: str, headers: str, body: bytes, deadline: float) -> Answer:
        head = (
            f"POST {self._target.path}{path} HTTP/1.1\r\n{self._head}{headers}Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        failure: OSError | None = None
        sock.settimeout(_left(deadline))
        try:
            # The timeout of sendall is that of the whole call.
            sock.sendall(head + body)
        except TimeoutError:
            raise
        except OSError as error:
            # A server may refuse a body before it has read it, and close: its answer says more than the reset.
            failure = error
        # As a socket, for the one call that HTTPResponse makes of it.
        response = http.client.HTTPResponse(cast(socket.socket, _Incoming(sock, deadline)), method="POST")
        try:
            response.begin()
            read = _body(response)
        except (OSError, http.client.HTTPException) as error:
            raise failure or error from None
        finally:
            response.close()
        self.used = True
        if response.will_close or failure is not None:
            self.close()
        found = response.headers
        return Answer(
            response.status, found.get("retry-after"), read, found.get("location"), found.get("forebay-durability")
        )


def _body(response: http.client.HTTPResponse) -> bytes:
    too_long = http.client.HTTPException(f"the answer is longer than {ANSWER_BYTES} bytes")
    if response.length is None:
        read = response.read(ANSWER_BYTES + 1)
        if len(read) > ANSWER_BYTES:
            raise too_long
        return read
    if response.length > ANSWER_BYTES:
        raise too_long
    # Without a limit: with one it passes for whole what was cut short.
    return response.read()


class _Incoming(io.RawIOBase):
    """What arrives on a socket until a deadline: a timeout of the socket alone would start anew with every byte."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._socket = sock
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, 1 << 16)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no whole answer in time")
    return left
