"""A route of the server, and the shape of its batches."""

from __future__ import annotations

import re

from forebay.client.batch import Batch

_STREAM = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}")


class Lane:
    """Where events of one kind go. `name` stands for it in a spool."""

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
        """The request's. The same for the same events in every release, or a key would be found with another body."""
        return self._prefix + b",".join(events) + self._suffix

    def headers(self, key: str) -> str:
        return f"{self._headers}Idempotency-Key: {key}\r\n"


PUBLISH = "publish:"

QUARANTINE = "Forebay-On-Invalid: quarantine\r\n"
"""Of routes that else store a batch whole or not at all, and name but the first bad event: with it one answer names
them all, and the others are stored. Routes that answer for each event refuse it."""


def lane_of(name: str) -> Lane:
    """The lane with that name: `drain`, `track`, `events`, or `publish:<stream>`.

    Raises:
        ValueError: there is none.
    """
    if name == "drain":
        return Lane(name, "/v1/drain", b'{"events":[', b"]}", QUARANTINE)
    if name == "track":
        return Lane(name, "/v1/analytics/track/batch", b"[", b"]", QUARANTINE)
    if name == "events":
        return Lane(name, "/api/events/batch", b"[", b"]")
    if name.startswith(PUBLISH):
        stream = name.removeprefix(PUBLISH)
        if not _STREAM.fullmatch(stream):
            raise ValueError(f"{stream!r} is no name of a stream: 1 to 249 of A-Z a-z 0-9 . _ -, not . or ..")
        return Lane(name, f"/api/v1/streams/{stream}/events/batch", b'{"events":[', b"]}")
    raise ValueError(f"{name!r} is no lane")
