"""What was sent from each address in the last 24 hours: a stream processor sums it up by five minutes, and this reads
the sums. No record of the stream itself passes through Python."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from forebay.errors import InvalidOffset, ProcessorAlreadyExists, StreamAlreadyExists
from forebay.server.infrastructure.reputation.score import Volume

if TYPE_CHECKING:
    from forebay._forebay import Engine
    from forebay.server.infrastructure.reputation.settings import ReputationSettings

log = structlog.get_logger("forebay.infrastructure")

NAME = "ip-reputation"
"""The processor, and the stream of its sums."""

WINDOW_MS = 300_000
"""An address has 288 sums a day, and the oldest leaves the day with at most five minutes too much."""

DAY_MS = 86_400_000
RETENTION_MS = 2 * DAY_MS

IDLE_CLOSE_MS = 60_000
LATENESS_MS = 60_000
"""How late records may come, and how long a silence ends the last window: the sums are six minutes behind at most."""

MAX_RECORDS = 10_000
MAX_BYTES = 8 << 20
"""The most of one read."""

COMPARED = ("source", "operations", "config")
"""The parts of a processor's definition that the configuration decides."""


def definition(settings: ReputationSettings) -> dict[str, Any]:
    """The processor."""
    fields = (settings.volume_field, settings.bounces_field, settings.complaints_field)
    return {
        "name": NAME,
        "source": settings.stream,
        "operations": [
            {"type": "window", "windowType": "tumbling", "duration": WINDOW_MS},
            {
                "type": "aggregate",
                "aggregations": [{"aggregation": "sum", "field": field} for field in dict.fromkeys(fields)],
                "groupBy": settings.address_field,
            },
        ],
        "sink": NAME,
        "offset": "earliest",
        "config": {"idleClose": IDLE_CLOSE_MS, "allowedLateness": LATENESS_MS},
    }


class Volumes:
    """Calls block; `of` does not, and any thread may ask it."""

    def __init__(
        self,
        engine: Engine,
        settings: ReputationSettings,
        addresses: Iterable[str],
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`addresses` are those that are judged, as the records write them; sums of others are passed over."""
        self._engine = engine
        self._definition = definition(settings)
        self._fields = [
            f"sum_{field}" for field in (settings.volume_field, settings.bounces_field, settings.complaints_field)
        ]
        self._sums: dict[str, dict[int, Volume]] = {address: {} for address in addresses}
        self._wall = wall
        self._is_made = False
        self._one_at_a_time = threading.Lock()
        self._next: int | None = None
        self.problem: str | None = None
        """Why the sums are not up to date; None when they are."""

    def step(self) -> None:
        """Makes the processor when it is missing, and reads what it has written since the last call.

        Raises:
            ForebayError: that cannot be done now.
        """
        # Whoever calls gives up a call after a minute, and it goes on all the same.
        if not self._one_at_a_time.acquire(blocking=False):
            self.problem = "the log does not answer"
            return
        try:
            if not self._is_made:
                self._make()
                self._is_made = True
            self._read()
            self._expire()
            self.problem = self._standing()
        finally:
            self._one_at_a_time.release()

    def of(self, address: str) -> Volume:
        """What was sent from the address in the last 24 hours."""
        sums = list(self._sums[address].values())
        return Volume(*(sum(column) for column in zip(*sums, strict=True))) if sums else Volume()

    def _make(self) -> None:
        """Makes the stream and the processor. One of another definition is replaced; its open windows are of other
        fields, and go without results."""
        self._engine.stream(self._definition["source"])
        with contextlib.suppress(StreamAlreadyExists):
            self._engine.create_stream(NAME, 1, {"retention_ms": RETENTION_MS})
        try:
            self._engine.create_processor(msgspec.json.encode(self._definition))
        except ProcessorAlreadyExists:
            known = msgspec.json.decode(self._engine.processor(NAME))
            if known["source"] != self._definition["source"] and known["sink"] == NAME:
                self._begin_anew()
                return
            if all(_contains(known[part], self._definition[part]) for part in COMPARED):
                return
            replacing = {name: value for name, value in self._definition.items() if name != "offset"}
            self._engine.create_processor(msgspec.json.encode(replacing | {"from": NAME, "state": "discard"}))
            log.info("what is sent is counted by other fields from now on", processor=NAME)

    def _begin_anew(self) -> None:
        """Counts another stream. A processor cannot go from one to another, and the sums of both do not mix."""
        self._engine.delete_processor(NAME)
        self._engine.delete_stream(NAME)
        self._engine.create_stream(NAME, 1, {"retention_ms": RETENTION_MS})
        self._engine.create_processor(msgspec.json.encode(self._definition))
        log.info("what is sent is counted from another stream from now on", processor=NAME)

    def _read(self) -> None:
        start, end = self._engine.stream(NAME).partitions[0]
        if self._next is None:
            [(_, self._next)] = self._engine.seek(NAME, 0, (self._now_ms() - DAY_MS) * 1000)
        offset = max(start, self._next)
        while offset < end:
            try:
                batch = self._engine.fetch(NAME, 0, offset, MAX_RECORDS, MAX_BYTES)
            except InvalidOffset:
                # Retention was faster. What it deleted is of another day.
                offset = max(offset + 1, self._engine.stream(NAME).partitions[0][0])
                continue
            for index, microseconds in enumerate(batch.timestamps):
                self._take(microseconds // 1000, batch.value(index))
            offset = max(batch.next_offset, offset + 1)
            self._next = offset
        self._next = offset

    def _take(self, end_ms: int, value: bytes) -> None:
        """Takes the sums of one window and address. One that comes again counts once."""
        result = msgspec.json.decode(value)
        sums = self._sums.get(str(result["key"]))
        if sums is not None:
            sums[end_ms] = Volume(*(result.get(field) or 0.0 for field in self._fields))

    def _expire(self) -> None:
        oldest = self._now_ms() - DAY_MS
        for sums in self._sums.values():
            for end_ms in [end_ms for end_ms in sums if end_ms < oldest]:
                del sums[end_ms]

    def _standing(self) -> str | None:
        described = msgspec.json.decode(self._engine.processor(NAME))
        if described["status"] == "running":
            return None
        reason = f": {described['reason']}" if described["reason"] else ""
        return f"the processor {NAME} is {described['status']}{reason}"

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)


def _contains(known: Any, wanted: Any) -> bool:
    """Whether `wanted` is what is known, which has defaults beside it."""
    if isinstance(wanted, Mapping):
        return isinstance(known, Mapping) and all(
            name in known and _contains(known[name], each) for name, each in wanted.items()
        )
    if isinstance(wanted, list) and isinstance(known, list):
        return len(wanted) == len(known) and all(map(_contains, known, wanted))
    return bool(known == wanted)
