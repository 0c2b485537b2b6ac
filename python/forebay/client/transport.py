"""Requests on one kept-alive HTTP connection; bodies are posted until they are answered for good."""

from __future__ import annotations

import codecs
import contextlib
import http.client
import io
import math
import random
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import cast
from urllib.parse import urlsplit

from forebay.client.results import ROUTE, Answer, not_an_ack, reason

ANSWER_BYTES = 16 << 20
"""The longest answer that is read: 10,000 results of a publication are 2 MiB."""

BACKOFF_SECONDS = 0.1
BACKOFF_LIMIT_SECONDS = 10.0
"""Waits are drawn from 0 to the backoff, which doubles with each try: "full jitter" of Marc Brooker, "Exponential
Backoff And Jitter", AWS Architecture Blog, 2015."""

RETRY_AFTER_LIMIT_SECONDS = 300.0
"""A server that asks for a longer wait is asked again after this."""

RETRIED = frozenset({408, 429})
"""And every 5xx. What other 4xx say stays so."""

_random = random.SystemRandom()
"""Not the program's generator, which it may have seeded, and which after a fork from C two processes have."""

# Looking a name up imports it: in a sender's thread that may be under way at a fork, and then it is never done in the
# child.
codecs.lookup("idna")


@dataclass(frozen=True, slots=True)
class Target:
    """A server. `path` is what its routes are under: empty, unless a proxy serves it below a path of its own."""

    host: str
    port: int
    path: str
    secure: bool
    token: str | None
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, url: str, token: str | None, tls: ssl.SSLContext | None = None) -> Target:
        """Raises ValueError for anything but http(s)://host[:port][/path]: the path of a route, too."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is not http://host:port")
        if route := ROUTE.search(parts.path):
            raise ValueError(f"{url!r} has the route {route[0]}; give the server's URL without it")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise ValueError("the token is not visible ASCII")
        secure = parts.scheme == "https"
        if secure and tls is None:
            tls = ssl.create_default_context()
        return cls(parts.hostname, parts.port or (443 if secure else 80), parts.path.rstrip("/"), secure, token, tls)

    @property
    def url(self) -> str:
        return f"http{'s' * self.secure}://{self._host}:{self.port}{self.path}"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def connect(self, seconds: float) -> socket.socket:
        """Raises OSError."""
        connected = socket.create_connection((self.host, self.port), seconds)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                return self.tls.wrap_socket(connected, server_hostname=self.host)
        except BaseException:
            connected.close()
            raise
        return connected

    def head(self) -> str:
        """Returns the lines that every request has."""
        token = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        return f"Host: {self._host}:{self.port}\r\nContent-Type: application/json\r\n{token}"


class Connection:
    """Connects when it has to. Not to be shared between threads."""

    def __init__(self, target: Target, seconds: float, until: float = math.inf) -> None:
        self._target = target
        self._seconds = seconds
        self._until = until
        self._head = target.head()
        self._socket: socket.socket | None = None
        self.used = False
        """The connection has been answered on: one that then fails at once was closed for being idle."""

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
        return self._answered("POST", path, f"{headers}Content-Length: {len(body)}\r\n", body)

    def get(self, path: str) -> Answer:
        """Gets what is there, as `post` does.

        Raises:
            OSError, http.client.HTTPException: no answer, and the connection is closed.
        """
        return self._answered("GET", path, "", b"")

    def _answered(self, method: str, path: str, headers: str, body: bytes) -> Answer:
        deadline = min(time.monotonic() + self._seconds, self._until)
        try:
            if self._socket is None:
                self._socket = self._target.connect(_left(deadline))
            head = f"{method} {self._target.path}{path} HTTP/1.1\r\n{self._head}{headers}\r\n"
            return self._exchange(self._socket, head.encode() + body, deadline)
        except BaseException:
            self.close()
            raise

    def _exchange(self, sock: socket.socket, request: bytes, deadline: float) -> Answer:
        failure: OSError | None = None
        sock.settimeout(_left(deadline))
        try:
            # The timeout of sendall is that of the whole call.
            sock.sendall(request)
        except TimeoutError:
            raise
        except OSError as error:
            # A server may refuse a body before it has read it, and close: its answer says more than the reset.
            failure = error
        # It passes for a socket, since HTTPResponse calls `makefile` alone. The method matters to it for HEAD alone.
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
    # Without a limit when the length is told: with one it passes for whole what was cut short.
    read = response.read(ANSWER_BYTES + 1) if response.length is None else b""
    if max(response.length or 0, len(read)) > ANSWER_BYTES:
        raise http.client.HTTPException(f"the answer is longer than {ANSWER_BYTES} bytes")
    return read or response.read()


class _Incoming(io.RawIOBase):
    """Reads from a socket until a deadline: a timeout of the socket alone would start anew with every byte."""

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


class DeliveryFailed(Exception):
    """There is no answer for good, and there is to be no further try."""


class RetryingTransport:
    """Posts on one connection until it is answered for good. Not to be shared between threads.

    Args:
        pause: waits for some seconds, of which the server asked for the second number. False when there is to be no
            further try.
        on_retry: told why, each time.
        patience_seconds: bounds the tries for one body.
        until: no exchange goes on after it, of `time.monotonic`.
    """

    def __init__(
        self,
        target: Target,
        *,
        answer_seconds: float,
        pause: Callable[[float, float], bool],
        on_retry: Callable[[str], None],
        patience_seconds: float | None = None,
        until: float = math.inf,
    ) -> None:
        self._connection = Connection(target, answer_seconds, until)
        self._pause = pause
        self._on_retry = on_retry
        self._patience = patience_seconds

    def close(self) -> None:
        self._connection.close()

    def post(self, path: str, headers: str, body: bytes) -> Answer:
        """Returns an acknowledgement, or a 4xx that is neither 408 nor 429. `headers` are whole lines, the idempotency
        key among them: it is what makes another try harmless when the outcome of one is unknown.

        Raises:
            DeliveryFailed: the patience is over, or `pause` said so.
        """
        deadline = None if self._patience is None else time.monotonic() + self._patience
        attempt = 0
        while True:
            reused, asked = self._connection.used, 0.0
            try:
                answer = self._connection.post(path, headers, body)
            except (OSError, http.client.HTTPException) as error:
                if reused and not isinstance(error, TimeoutError):
                    # Closed by the server for being idle: that is no reason to wait, once.
                    continue
                why = f"no answer: {why_none(error)}"
            else:
                if is_retried(answer.status):
                    why, asked = f"{answer.status}: {reason(answer)}", retry_after(answer.retry_after)
                elif not (why := not_an_ack(answer)):
                    return answer
            wait = max(backoff(attempt), asked)
            attempt += 1
            if deadline is not None and time.monotonic() + wait > deadline:
                raise DeliveryFailed(f"{why}; given up after {attempt} tries in {self._patience:g} seconds")
            self._on_retry(why)
            if not self._pause(wait, asked):
                raise DeliveryFailed(f"{why}; stopped before the next try")


def why_none(error: Exception) -> str:
    """Returns why there is no answer, without numbers of the operating system that say nothing to a reader."""
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "the server speaks plain http: give a URL with http://"
    said = error.strerror if isinstance(error, OSError) else None
    return said or str(error) or type(error).__name__


def is_retried(status: int) -> bool:
    return status in RETRIED or status >= 500


def backoff(attempt: int) -> float:
    """Draws the seconds to wait before try `attempt` + 1."""
    return _random.uniform(0, min(BACKOFF_LIMIT_SECONDS, BACKOFF_SECONDS * 2.0 ** min(attempt, 32)))


def retry_after(value: str | None) -> float:
    """Returns the seconds that `Retry-After` (RFC 9110, 10.2.3) asks for, given as such or as a date; 0 when it is
    missing or neither."""
    if value is None:
        return 0.0
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return min(float(value), RETRY_AFTER_LIMIT_SECONDS)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        return 0.0
    return min(max(0.0, moment.timestamp() - time.time()), RETRY_AFTER_LIMIT_SECONDS)
