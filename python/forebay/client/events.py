"""What applications hand over, as the JSON that the server takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from forebay.client.clock import Clock, millis, rfc3339

MAX_DEPTH = 60
"""The server refuses more than 64 levels, and the event itself is some of them. What is deeper becomes its text."""

LAST_SECOND = 253_402_300_799
"""Of the year 9999."""

Moment = str | datetime | float
"""A text in a form that the server knows, a `datetime`, or seconds since 1970 UTC. Without a zone it is local time."""

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
        self._defaults: dict[str, Any] = {
            "project_id": project_id,
            "timestamp": None,
            "level": "info",
            "service": service,
            "message": "",
        }
        clock = Clock()
        self._now, self._at, self._recently = clock.now, clock.at, clock.recently
        self._encode = msgspec.json.Encoder(enc_hook=_text).encode

    def log(
        self,
        message: str,
        level: str | None,
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
            "info" if level is None else level,
            service or self._service,
            message if type(message) is str else _text(message),
            metadata,
        )
        try:
            return self._encode(event)
        except Exception:
            return self.plain(event)

    def row(self, event: Fields | str) -> bytes:
        """A mapping with the drain's fields, all optional and taken as `log` takes them, and further ones kept; or a
        message. It has this moment, or one less than a millisecond ago, unless it says another. Nothing raises, so that
        a row does not take its neighbours along: what is neither becomes a message, and a time that is none goes as
        its text, which the server refuses."""
        try:
            row = {**self._defaults, "message": event} if isinstance(event, str) else {**self._defaults, **event}
        except Exception:
            row = {**self._defaults, "message": event}
        try:
            moment = row["timestamp"]
            row["timestamp"] = self._recently() if moment is None else _readable(moment)
            if type(row["message"]) is not str:
                row["message"] = _text(row["message"])
            if row["level"] is None:
                row["level"] = "info"
            row["project_id"] = row["project_id"] or self._project
            row["service"] = row["service"] or self._service
            return self._encode(row)
        except Exception:
            return self.plain(row)

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


def _readable(moment: Any) -> Any:
    try:
        return rfc3339(moment)
    except Exception:
        return _text(moment)


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return str.__str__(value).encode(errors="replace").decode()
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return int(value) if -(1 << 63) <= value < 1 << 64 else _text(value)
    if depth <= 0:
        return _plain(_text(value), 1)
    try:
        if isinstance(value, Mapping):
            return {_plain(_text(key), 1): _plain(entry, depth - 1) for key, entry in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_plain(entry, depth - 1) for entry in value]
    except Exception as error:
        # A stranger's mapping, or one that another thread changes.
        return f"<{type(value).__name__}: {type(error).__name__}>"
    return _plain(_text(value), 1)


def _text(value: Any) -> str:
    """Whatever it is: `str` of a stranger's object may raise anything."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"
