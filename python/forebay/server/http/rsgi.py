"""The part of RSGI 1.6 that is used here, as types (Granian's own classes are not typed)."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

from granian import _granian


class Headers(Protocol):
    def get(self, key: str, default: str | None = None) -> str | None: ...
    def get_all(self, key: str) -> list[str]: ...
    def __contains__(self, key: str) -> bool: ...


class Scope(Protocol):
    @property
    def proto(self) -> str: ...
    @property
    def http_version(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query_string(self) -> str: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def client(self) -> str: ...


class StreamTransport(Protocol):
    """A response that is under way; it ends when the last reference to this is gone."""

    def send_bytes(self, data: bytes) -> Awaitable[None]: ...


class HttpProtocol(Protocol):
    def __call__(self) -> Awaitable[bytes]: ...
    def client_disconnect(self) -> Awaitable[None]: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...
    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> StreamTransport: ...


class WebSocketMessage(Protocol):
    """`kind` 0 is the client's close, 1 bytes, 2 text; only the last two have `data`."""

    @property
    def kind(self) -> int: ...
    @property
    def data(self) -> bytes | str: ...


class Sending(Awaitable[None], Protocol):
    """A message on its way to the kernel. The message goes out whether somebody waits for this or not."""

    def done(self) -> bool: ...
    def result(self) -> None: ...


class WebSocketTransport(Protocol):
    """An accepted WebSocket. Pings are answered, and a client's close too, only while `receive` is awaited."""

    def receive(self) -> Awaitable[WebSocketMessage]: ...
    def send_str(self, data: str) -> Sending: ...


class WebSocketProtocol(Protocol):
    """An upgrade that was asked for. `close` before `accept` answers with that status and an empty body; after it, it
    ends the connection with a close frame that has no code."""

    def accept(self) -> Awaitable[WebSocketTransport]: ...
    def close(self, status: int | None = None) -> None: ...


class Watcher(Protocol):
    """One request as Granian's scheduler hands it over. Any request may ask for an upgrade, whatever its path."""

    @property
    def scope(self) -> Scope: ...
    @property
    def proto(self) -> HttpProtocol: ...


# Its stub lags behind the module.
_native: Any = _granian

WEBSOCKET: type[WebSocketProtocol] = _native.RSGIWebsocketProtocol
"""The class of Granian's, to tell upgrades from requests."""
