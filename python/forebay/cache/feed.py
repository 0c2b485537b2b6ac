"""Puts what the processors of the views tell into `Views`, from the streams that they write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from forebay.cache.results import VIEWS, View
from forebay.cache.times import rfc3339
from forebay.errors import Closed, ForebayError, InvalidOffset, StreamNotFound

if TYPE_CHECKING:
    from forebay._forebay import Engine
    from forebay.cache.views import Views

log = structlog.get_logger("forebay.cache")

SOURCE = "analytics"
"""The stream of analytics events."""

WAIT_SECONDS = 0.25
"""How often every stream is looked at. Event windows are told of at once."""

RETRY_SECONDS = 1.0
"""The pause after a failure: a full disk gets room within seconds."""

TELLING_SECONDS = 1.5
"""Processors tell what has changed once a second."""

MAX_RECORDS = 10_000
MAX_BYTES = 8 << 20
"""The most of one read."""


class ProcessorStatus(msgspec.Struct):
    """What of a processor's description is looked at."""

    name: str
    status: str
    reason: str | None = None


class Lag(msgspec.Struct):
    """How many records are not processed and stored."""

    lag: int


class ProcessorMetrics(msgspec.Struct):
    """What of a processor's metrics is looked at."""

    metrics: Lag


class Feed:
    """Reads on a thread of its own, from the first result that is kept: so the windows are there again after a restart.
    The processors are made when the first analytics event comes: before, there is nothing to be computed.

    Attributes:
        is_ready: whether all events that there were at the start are in the views.
        problem: why results are not read or made; None when they are.
    """

    def __init__(
        self,
        engine: Engine,
        views: Views,
        lateness_ms: int,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._views = views
        self._lateness_ms = lateness_ms
        self._wall = wall
        self._monotonic = monotonic
        self._next: dict[str, int] = {}
        self._first: tuple[tuple[tuple[int, int], ...], str | None] = ((), None)
        self._has_processors = False
        self._wanted: int | None = None
        self._caught_up: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="forebay-views", daemon=True)
        self.is_ready = False
        self.problem: str | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and waits for it: at most as long as one read takes."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def paused(self) -> list[str]:
        """The processors that somebody has paused, so that their windows stand still."""
        if not self._has_processors:
            return []
        return [row.name for row in self._statuses() if row.status == "paused" and row.reason is None]

    def _statuses(self) -> list[ProcessorStatus]:
        """The processors of the views."""
        rows = msgspec.json.decode(self._engine.processors(), type=list[ProcessorStatus])
        own = {view.stream for view in VIEWS}
        return [row for row in rows if row.name in own]

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step()
                self.problem = None
            except Closed:
                return
            except ForebayError as error:
                self._failed(error)
                self._stopping.wait(RETRY_SECONDS)
            except Exception as error:
                # Without the thread the windows would stand still for ever.
                log.exception("the analytics views cannot be read", error=str(error))
                self.problem = str(error)
                self._stopping.wait(RETRY_SECONDS)

    def _failed(self, error: ForebayError) -> None:
        # The streams that every server has are made within a second of the start.
        if self.problem != error.detail and not isinstance(error, StreamNotFound):
            log.warning("the analytics views stand still; it is tried again", error=error.detail)
        self.problem = error.detail

    def step(self) -> None:
        """Reads what there is, and then waits for more for at most `WAIT_SECONDS`."""
        milliseconds = int(WAIT_SECONDS * 1000)
        if not self._has_processors:
            ends = [(partition, end) for partition, (_, end) in enumerate(self._engine.stream(SOURCE).partitions)]
            if not any(end for _, end in ends):
                self.is_ready = True
                self._engine.wait(SOURCE, ends, milliseconds)
                return
            self._engine.keep_views(self._lateness_ms, self._views.retention_ms)
            self._has_processors = True
        # Asked before results are read: what is processed then is in them.
        is_complete = self.is_ready or self._has_caught_up()
        for view in VIEWS:
            self._read(view)
        self._count()
        self._views.expire(self._now_ms())
        self.is_ready = is_complete
        first = VIEWS[0].stream
        self._engine.wait(first, [(0, self._next[first])], milliseconds)

    def _has_caught_up(self) -> bool:
        """Whether the processors have told of all events that there were at the first look."""
        total = sum(end for _, end in self._engine.stream(SOURCE).partitions)
        self._wanted = total if self._wanted is None else self._wanted
        running = {row.name for row in self._statuses() if row.status == "running"}
        # One that is paused, or has failed, is not waited for.
        for view in [view for view in VIEWS if view.stream in running]:
            metrics = msgspec.json.decode(self._engine.processor_metrics(view.stream), type=ProcessorMetrics)
            if total - metrics.metrics.lag < self._wanted:
                self._caught_up = None
                return False
        now = self._monotonic()
        self._caught_up = now if self._caught_up is None else self._caught_up
        return now - self._caught_up >= TELLING_SECONDS

    def _read(self, view: View) -> None:
        """Reads a stream up to its present end."""
        start, end = self._engine.stream(view.stream).partitions[0]
        offset = max(start, self._next.get(view.stream, 0))
        while offset < end and not self._stopping.is_set():
            try:
                offset = self._take(view, offset)
            except InvalidOffset:
                # Retention was faster. What it deleted is older than what is shown.
                offset = max(offset, self._engine.stream(view.stream).partitions[0][0])
            self._next[view.stream] = offset
        self._next[view.stream] = offset

    def _take(self, view: View, offset: int) -> int:
        """Takes the newest result of each window of a batch, and returns the offset behind it."""
        batch = self._engine.fetch(view.stream, 0, offset, MAX_RECORDS, MAX_BYTES)
        # A result's timestamp is the last millisecond of its window.
        newest = {microseconds: index for index, microseconds in enumerate(batch.timestamps)}
        now = self._now_ms()
        for microseconds, index in newest.items():
            start = microseconds // 1000 + 1 - view.kind.length_ms
            self._views.put(view.kind, start, msgspec.json.encode(view.shaped(batch.value(index), start)), now)
        return max(batch.next_offset, offset + 1)

    def _count(self) -> None:
        partitions = self._engine.stream(SOURCE).partitions
        firsts = tuple((partition, start) for partition, (start, end) in enumerate(partitions) if start < end)
        if firsts != self._first[0]:
            self._first = (firsts, self._since(firsts))
        self._views.count(sum(end - start for start, end in partitions), self._first[1])

    def _since(self, firsts: tuple[tuple[int, int], ...]) -> str | None:
        """The earliest event time of the first records that are kept."""
        batches = (self._engine.fetch(SOURCE, partition, start, 1, 1) for partition, start in firsts)
        times = [batch.timestamps[0] // 1000 for batch in batches if len(batch)]
        return rfc3339(min(times)) if times else None

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)
