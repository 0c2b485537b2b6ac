"""Batches whose events carry their position, so that each event can be found, counted and checked in the log."""

from __future__ import annotations

import random
import zlib
from datetime import UTC, datetime

import msgspec

PROJECTS = 8
"""More than the partitions of a small log, so that a batch of a few events is spread over several."""

MAX_EVENTS = 500

MAX_TEXT = 2_000
"""Longest message. Together with `MAX_TEXTS` it puts bodies on both sides of the size that is parsed inline."""

MAX_TEXTS = 200_000
"""Bytes of messages in one batch: far below half of the smallest journal file, which is the most a batch may have."""

_POOL_BYTES = 1 << 20
_SIZES = (1, 1, 1, 1, 2, 3, 10, 30, 100, MAX_EVENTS)


class Stamp(msgspec.Struct):
    """The position of an event in what was sent."""

    run: str
    sender: int
    batch: int
    index: int
    of: int
    """Events in the batch."""
    crc: int
    """CRC-32 of the project and the message."""


class StampedEvent(msgspec.Struct):
    project_id: str
    message: str
    metadata: Stamp


class Row(msgspec.Struct):
    """One line of `forebay read`."""

    partition: int
    offset: int
    key: str | None
    value: StampedEvent


def is_intact(row: Row) -> bool:
    event = row.value
    return row.key == event.project_id and _checksum(event.project_id, event.message) == event.metadata.crc


def _checksum(project: str, message: str) -> int:
    return zlib.crc32(message.encode(), zlib.crc32(project.encode()))


class Composer:
    """Composes the bodies of one sender: batches of 1 to `MAX_EVENTS` events, over several projects."""

    def __init__(self, run: str, sender: int, seed: int) -> None:
        self._run = run
        self._sender = sender
        self._random = random.Random(seed)  # noqa: S311 - reproducible, not secret
        # Hexadecimal digits: they compress to a half, so that segments grow and retention has work.
        self._pool = self._random.randbytes(_POOL_BYTES // 2).hex()

    def batch(self, number: int) -> tuple[bytes, int]:
        """The body of batch `number`, and how many events are in it."""
        chance = self._random
        wanted = chance.choice(_SIZES)
        longest = min(MAX_TEXT, MAX_TEXTS // wanted)
        now = datetime.now(UTC).isoformat()
        events = [self._event(number, index, wanted, longest, now) for index in range(wanted)]
        return f'{{"events":[{",".join(events)}]}}'.encode(), wanted

    def _event(self, batch: int, index: int, of: int, longest: int, now: str) -> str:
        chance = self._random
        # Most log lines are short; a few are as long as they may be.
        length = int(longest * chance.random() ** 4)
        start = int(chance.random() * (len(self._pool) - length))
        message = self._pool[start : start + length]
        project = f"project-{int(chance.random() * PROJECTS)}"
        return (
            f'{{"project_id":"{project}","timestamp":"{now}","level":"info","service":"torture",'
            f'"message":"{message}","metadata":{{"run":"{self._run}","sender":{self._sender},"batch":{batch},'
            f'"index":{index},"of":{of},"crc":{_checksum(project, message)}}}}}'
        )
