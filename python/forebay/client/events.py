"""What applications hand over, as the JSON that the server takes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from forebay.client.clock import Clock, millis, rfc3339

MAX_DEPTH = 60
"""The server refuses more than 64 levels, and the event itself is some of them. What is deeper becomes its text."""

LAST_SECOND = 253_402_300_799
"""Of the year 9999."""

Moment = str | datetime | float
"""A text in a form that the server knows, a `datetime`, or seconds since 1970 UTC."""

Fields = Mapping[str, Any]


class LogEvent(msgspec.Struct, omit_defaults=True, gc=False):
    project_id: str
    timestamp: str
    level: str
    service: str
    message: str
    metadata: Fields | None = None


class TrackEvent(msgspec.Struct, omit_defaults=True, gc=False):
    event: Fields
    timestamp: str
    user: Fields | None = None
    device: Fields | None = None
    context: Fields | None = None
    metrics: Fields | None = None


class Event(msgspec.Struct, omit_defaults=True, gc=False):
    type: str
    source: str
    data: Fields
    timestamp: int
    id: str | None = None


class Publication(msgspec.Struct, omit_defaults=True, gc=False, rename="camel"):
    value: Any
    key: str | None = None
    headers: Mapping[str, str] | None = None
    partition_key: str | None = None
    partition: int | None = None
    timestamp: str | None = None


class Encoder:
    """Makes the JSON of events. What JSON cannot hold is put as its text rather than refused: a log line is worth more
    than its form."""

    def __init__(self, project_id: str, service: str) -> None:
        self._project = project_id
        self._service = service
        clock = Clock()
        self._now, self._at = clock.now, clock.at
        self._encode = msgspec.json.Encoder(enc_hook=_text).encode

    def log(
        self,
        message: str,
        level: str,
        project_id: str | None,
        service: str | None,
        timestamp: Moment | None,
        metadata: Fields | None,
    ) -> bytes:
        if timestamp is None:
            moment = self._now()
        elif type(timestamp) is float and 0 <= timestamp < LAST_SECOND:
            moment = self._at(round(timestamp * 1e6))
        else:
            moment = rfc3339(timestamp)
        event = LogEvent(
            project_id or self._project,
            moment,
            level,
            service or self._service,
            message if type(message) is str else str(message),
            metadata,
        )
        try:
            return self._encode(event)
        except Exception:
            return self.plain(event)

    def logs(self, events: Iterable[Fields | str]) -> Iterator[bytes]:
        """Each a mapping with the drain's fields, all but `message` optional and further ones kept, or a message."""
        defaults = {
            "project_id": self._project,
            "timestamp": self._now(),
            "level": "info",
            "service": self._service,
            "message": "",
        }
        encode = self._encode
        for event in events:
            row = {**defaults, "message": event} if isinstance(event, str) else {**defaults, **event}
            if type(row["timestamp"]) is not str:
                row["timestamp"] = self._now() if row["timestamp"] is None else rfc3339(row["timestamp"])
            try:
                yield encode(row)
            except Exception:
                yield self.plain(row)

    def track(
        self,
        kind: str,
        user: Fields | str | None,
        device: Fields | None,
        context: Fields | None,
        metrics: Fields | None,
        timestamp: Moment | None,
    ) -> bytes:
        moment = self._now() if timestamp is None else rfc3339(timestamp)
        person = {"id": user} if isinstance(user, str) else user
        return self.any(TrackEvent({"type": kind}, moment, person, device, context, metrics))

    def event(self, kind: str, source: str, data: Fields, event_id: str | None, timestamp: Moment | None) -> bytes:
        moment = time.time_ns() // 1_000_000 if timestamp is None else millis(timestamp)
        return self.any(Event(kind, source, data, moment, event_id))

    def any(self, event: object) -> bytes:
        try:
            return self._encode(event)
        except Exception:
            return self.plain(event)

    def plain(self, event: object) -> bytes:
        """The slow way, for what the fast one cannot: keys that are no texts, lone surrogates, huge numbers."""
        fields = event if isinstance(event, dict) else msgspec.structs.asdict(event)  # type: ignore[arg-type]
        rename = {"partition_key": "partitionKey"} if isinstance(event, Publication) else {}
        kept = {rename.get(name, name): value for name, value in fields.items() if value is not None or name == "value"}
        return self._encode(_plain(kept, MAX_DEPTH))


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return str.__str__(value).encode(errors="replace").decode()
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return int(value) if -(1 << 63) <= value < 1 << 64 else str(value)
    if depth <= 0:
        return _plain(_text(value), 1)
    if isinstance(value, Mapping):
        return {_plain(_text(key), 1): _plain(entry, depth - 1) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry, depth - 1) for entry in value]
    return _plain(_text(value), 1)


def _text(value: Any) -> str:
    """Whatever it is: `str` of a stranger's object may raise anything."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"
