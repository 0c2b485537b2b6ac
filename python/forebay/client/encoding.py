"""Makes the JSON that the server takes of what applications hand over."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from forebay.client.clock import Clock, millis, rfc3339
from forebay.client.endpoint import DRAIN, EVENTS, PUBLISH, TRACK
from forebay.client.value import FOREIGN_PARTS, Plain, spare_parts, whole

EVENT_BYTES = 960 << 10
"""A log or analytics event that would be larger is cut: a server takes 1 MiB by default, with what it adds."""

MIN_EVENT_BYTES = 16 << 10
"""The last of `CUTS` fits."""

LOG_PARTS = 10_000
"""Parts of a log or analytics event that is not taken as it is: some tens of milliseconds at the most."""

CUTS = ((64 << 10, LOG_PARTS), (4 << 10, LOG_PARTS), (256, 1_000), (48, 20))
"""Characters that are kept of a text, and parts of a value, until the event is not too large."""

LAST_SECOND = 253_402_300_799
"""The last second of the year 9999."""

TimestampLike = str | datetime | float
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
    """Makes the JSON of events. What JSON cannot hold, or not within the bounds of `value.py`, is put as text rather
    than refused: a log line is worth more than its form. Log and analytics events are cut to `event_bytes`; the others
    are data, which is whole or refused.

    Each method but `row` has the signature of the client's method of its name, and returns the endpoint's name and the
    event."""

    def __init__(self, project_id: str, service: str, event_bytes: int = EVENT_BYTES) -> None:
        self._project = project_id
        self._service = service
        self._event_bytes = event_bytes
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
        level: str | None = "info",
        *,
        project_id: str | None = None,
        service: str | None = None,
        timestamp: TimestampLike | None = None,
        metadata: Fields | None = None,
    ) -> tuple[str, bytes]:
        """Hands over a log event. False when it is dropped, as `stats()` counts. What JSON cannot hold becomes its
        text, also what holds itself, is endless or too large; only a `timestamp` that is no moment raises, ValueError
        or TypeError, but a text that is none is the server's to refuse. A time without a zone is local time."""
        if timestamp is None:
            moment = self._now()
        elif type(timestamp) is float and 0 <= timestamp < LAST_SECOND:
            moment = self._at(round(timestamp * 1e6))
        else:
            moment = rfc3339(timestamp)
        event = LogEvent(
            _name(project_id, self._project),
            moment,
            "info" if level is None else level if type(level) is str else _text(level),
            _name(service, self._service),
            message if type(message) is str else _text(message),
            metadata,
        )
        if len(event.message) <= self._event_bytes:
            try:
                if metadata is None or (type(metadata) is dict and spare_parts(metadata) >= 0):
                    text = self._encode(event)
                    if len(text) <= self._event_bytes:
                        return DRAIN, text
            except Exception:
                return DRAIN, self._cut(event)
        return DRAIN, self._cut(event)

    def row(self, event: Fields | str) -> bytes:
        """A mapping with the drain's fields, all optional and taken as `log` takes them, and further ones kept; or a
        message. It has this moment, or one less than a millisecond ago, unless it says another. Nothing raises, so that
        a row does not take its neighbours along: what is neither becomes a message, and a time that is none goes as
        its text, which the server refuses."""
        try:
            row = {**self._defaults, "message": event} if isinstance(event, str) else {**self._defaults, **_own(event)}
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
            if spare_parts(row) >= 0:
                text = self._encode(row)
                if len(text) <= self._event_bytes:
                    return text
        except Exception:
            return self._cut(row)
        return self._cut(row)

    def track(
        self,
        kind: str,
        *,
        user: Fields | str | None = None,
        device: Fields | None = None,
        context: Fields | None = None,
        metrics: Fields | None = None,
        timestamp: TimestampLike | None = None,
    ) -> tuple[str, bytes]:
        """Hands over an analytics event; `user` may be an id."""
        moment = self._now() if timestamp is None else rfc3339(timestamp)
        person = {"id": user} if isinstance(user, str) else user
        event = TrackEvent({"type": kind}, moment, person, device, context, metrics)
        text = self._fast(event)
        return TRACK, text if text is not None and len(text) <= self._event_bytes else self._cut(event)

    def event(
        self,
        kind: str,
        source: str,
        data: Fields,
        *,
        event_id: str | None = None,
        timestamp: TimestampLike | None = None,
    ) -> tuple[str, bytes]:
        """Hands over an event of the events API. Raises ValueError or TypeError for a `timestamp` that is no moment."""
        moment = time.time_ns() // 1_000_000 if timestamp is None else millis(timestamp)
        return EVENTS, self.any(Event(kind, source, data, moment, event_id))

    def publish(
        self,
        stream: str,
        value: Any,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        partition_key: str | None = None,
        partition: int | None = None,
        timestamp: TimestampLike | None = None,
    ) -> tuple[str, bytes]:
        """Hands over a record for a stream. Raises ValueError for what cannot be a stream's name."""
        moment = None if timestamp is None else rfc3339(timestamp)
        return f"{PUBLISH}{stream}", self.any(Publication(value, key, headers, partition_key, partition, moment))

    def any(self, event: msgspec.Struct) -> bytes:
        """Whole: what makes it too large is not cut off."""
        text = self._fast(event)
        return self._plain(event)[0] if text is None else text

    def _fast(self, event: msgspec.Struct) -> bytes | None:
        """None for what is to be taken the slow way: what is large, strange or endless, keys that are no texts, lone
        surrogates, huge numbers."""
        try:
            if spare_parts([getattr(event, name) for name in event.__struct_fields__]) >= 0:
                return self._encode(event)
        except Exception:
            return None
        return None

    def _cut(self, event: msgspec.Struct | dict[str, Any]) -> bytes:
        """The slow way, and no larger than an event may be."""
        room = self._event_bytes
        text, is_full = self._plain(event, room, room, LOG_PARTS, own=0)
        if len(text) <= room and not is_full:
            return text
        for characters, parts in CUTS:
            text, _ = self._plain(event, characters, room, parts)
            if len(text) <= room:
                break
        return text

    def _plain(self, event: msgspec.Struct | dict[str, Any], *limits: int, own: int = 1) -> tuple[bytes, bool]:
        if isinstance(event, dict):
            # Its own fields first: of further ones the last are left out.
            fields = {name: event[name] for name in self._defaults} | event
        else:
            fields = {name: getattr(event, name) for name in event.__struct_fields__}
        if isinstance(event, Publication):
            fields["partitionKey"] = fields.pop("partition_key")
        kept = {name: value for name, value in fields.items() if value is not None or name == "value"}
        made, is_full = whole(kept, *limits, own=own)
        return self._encode(made), is_full


def _name(given: Any, default: str) -> str:
    if type(given) is str:
        return given or default
    return default if given is None else _text(given) or default


def _own(event: Fields) -> Fields:
    """A mapping of Python's own; of another one the first entries, since it may make them for ever."""
    return event if type(event) is dict else dict(itertools.islice(event.items(), FOREIGN_PARTS))


def _readable(moment: Any) -> Any:
    try:
        return rfc3339(moment)
    except Exception:
        return _text(moment)


def _text(value: Any) -> str:
    return Plain().text(value)
