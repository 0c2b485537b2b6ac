"""The routes that events are sent to, and the shape of their requests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.client.batch import Batch

DRAIN, TRACK, EVENTS, PUBLISH = "drain", "track", "events", "publish:"

QUARANTINE = "Forebay-On-Invalid: quarantine\r\n"
"""Sent to routes that otherwise store a batch whole or not at all and name only the first bad event: with it one answer
names all of them and the others are stored. The other routes answer for each event anyway."""

_STREAM = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}")


class Endpoint:
    """One route. `name` stands for it in a spool and in rejections."""

    __slots__ = ("_headers", "_prefix", "_suffix", "name", "open", "path")

    def __init__(self, name: str, path: str, prefix: bytes, suffix: bytes, headers: str = "") -> None:
        self.name = name
        self.path = path
        self.open: Batch | None = None
        """The batch that events are added to."""
        self._prefix = prefix
        self._suffix = suffix
        self._headers = headers

    def body(self, events: list[bytes]) -> bytes:
        """Makes the request's body. It is the same for the same events in every release: a server refuses a key that
        comes back with another body."""
        return self._prefix + b",".join(events) + self._suffix

    def headers(self, key: str) -> str:
        return f"{self._headers}Idempotency-Key: {key}\r\n"


def endpoint_of(name: str) -> Endpoint:
    """Returns the endpoint with that name: `drain`, `track`, `events`, or `publish:<stream>`.

    Raises:
        ValueError: there is none.
    """
    if name == DRAIN:
        return Endpoint(name, "/v1/drain", b'{"events":[', b"]}", QUARANTINE)
    if name == TRACK:
        return Endpoint(name, "/v1/analytics/track/batch", b"[", b"]", QUARANTINE)
    if name == EVENTS:
        return Endpoint(name, "/api/events/batch", b"[", b"]")
    if name.startswith(PUBLISH):
        stream = name.removeprefix(PUBLISH)
        if not _STREAM.fullmatch(stream):
            raise ValueError(f"{stream!r} is no name of a stream: 1 to 249 of A-Z a-z 0-9 . _ -, not . or ..")
        return Endpoint(name, f"/api/v1/streams/{stream}/events/batch", b'{"events":[', b"]}")
    raise ValueError(f"{name!r} is no endpoint")
