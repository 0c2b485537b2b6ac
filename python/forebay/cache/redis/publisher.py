"""Writes the views of this process to Redis, while it has the lease."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from forebay.cache.redis.connection import Connection
from forebay.cache.redis.layout import DAY_MS, Layout
from forebay.cache.redis.lease import LEASE_SECONDS, RENEW_SECONDS, Lease
from forebay.cache.redis.pace import Pace
from forebay.cache.redis.pending import Batch, Pending
from forebay.cache.redis.problem import RedisProblem, Trouble
from forebay.cache.redis.scripts import TAKE_CALLS, WRITE
from forebay.cache.shapes import HOUR_MS
from forebay.cache.times import rfc3339
from forebay.cache.views import Views

log = structlog.get_logger("forebay.cache")

INTERVAL_SECONDS = 0.4
"""How often changes are written."""

FIRST_RETRY_SECONDS = 0.25

MAX_RETRY_SECONDS = 2.0
"""The longest wait before Redis is tried again; it doubles up to here."""

AUDIT_SECONDS = 30.0
"""How often Redis is asked whether it still has every window: it evicts keys, and people delete them."""

AUDIT_KEYS = 20
"""The keys that are looked at in one step of an audit."""

FINISH_SECONDS = 2.0
"""How long a stop goes on writing what has changed."""

FINISH_POLL_SECONDS = 0.05
"""How long it waits between two steps then, for what the pace holds back."""


class Role(enum.Enum):
    """What this server does for Redis, as far as Redis has told."""

    STARTING = "starting"
    """Redis has not answered yet, or the views are not complete yet."""
    HOLDER = "holder"
    """It has the lease, or had it last."""
    STANDBY = "standby"
    """Another server has the lease."""


@dataclass(slots=True, frozen=True)
class PublisherState:
    """For health and metrics.

    Attributes:
        reason: why Redis does not take what it is given, and what to do; None when it does.
        commands: given to Redis, those of scripts included; of those that depend on what Redis has, the most.
        failures: calls that failed.
        windows: windows that were written.
        waiting: windows that wait to be written.
        written_seconds_ago: the age of the last write; None before the first.
    """

    role: Role
    reason: str | None
    commands: int
    failures: int
    windows: int
    waiting: int
    written_seconds_ago: float | None


class Publisher:
    """One task writes; nothing waits for it, and nothing that Redis does ends it."""

    def __init__(
        self,
        views: Views,
        connection: Connection,
        layout: Layout,
        *,
        ready: Callable[[], bool] = lambda: True,
        lease_seconds: float = LEASE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            connection: its own, since it must not wait behind readers.
            ready: whether the views are complete. Until they are for the first time, the lease is not asked for: the
                views of a server that has just started would replace those that Redis still has.
        """
        self.is_ready = False
        self._ready = ready
        self.role = Role.STARTING
        self.problem: RedisProblem | None = None
        self._views = views
        self._connection = connection
        self._layout = layout
        self._monotonic = monotonic
        self._wall = wall
        self._lease = Lease(connection, layout, lease_seconds)
        self._renew_seconds = min(RENEW_SECONDS, lease_seconds / 4)
        self._pending = Pending(layout, views.retention_ms)
        self._pace = Pace(monotonic)
        self._version = 0
        self._totals = b""
        self._is_published = False
        """Whether everything was taken over into `_pending` since the lease was taken."""
        self._sequence = ""
        self._number = 0
        self._audit: list[str] = []
        self._audited = monotonic()
        self._failed_in_row = 0
        self._asked: float | None = None
        self._written: float | None = None
        self._commands = 0
        self._windows = 0
        self._step_lock = asyncio.Lock()

    @property
    def state(self) -> PublisherState:
        return PublisherState(
            self.role,
            None if self.problem is None else str(self.problem),
            self._commands,
            self._connection.failures,
            self._windows,
            len(self._pending),
            None if self._written is None else self._monotonic() - self._written,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Writes until `stopping` is set. Call `close` then, once nothing changes the views any more."""
        while not stopping.is_set():
            seconds = await self.step()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), seconds)

    async def close(self) -> None:
        """Writes what has changed, for at most `FINISH_SECONDS`, gives the lease back and closes the connection."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                await self._finish()
        with contextlib.suppress(RedisProblem):
            await self._lease.free()
        await self._connection.close()

    async def _finish(self) -> None:
        # What has changed is asked of the views, which tell nobody.
        while self._lease.value is not None and self.problem is None and self._has_changed():  # noqa: ASYNC110
            await asyncio.sleep(min(await self.step(), FINISH_POLL_SECONDS))

    async def step(self) -> float:
        """Does what is to be done now, and returns the seconds until the next step."""
        async with self._step_lock:
            try:
                seconds = await self._advance()
            except RedisProblem as problem:
                return self._failed(problem)
            except Exception as error:
                # Without the task Redis would show old views for ever.
                log.exception("a step of publishing failed", error=str(error))
                return MAX_RETRY_SECONDS
        return seconds

    async def _advance(self) -> float:
        self.is_ready = self.is_ready or self._ready()
        if not self.is_ready:
            return INTERVAL_SECONDS
        if self._lease.value is None and not await self._take():
            return self._renew_seconds
        if not self._is_published:
            await self._start_over()
        self._gather()
        await self._look_after()
        batch = self._pending.next()
        if self._pending.is_empty and not self._is_due():
            return INTERVAL_SECONDS
        seconds = self._pace.wait(batch.calls)
        return seconds or await self._write(batch)

    async def _take(self) -> bool:
        self._count(TAKE_CALLS)
        taken = await self._lease.take()
        self._succeeded()
        if taken:
            self._is_published = False
            if self.role is not Role.HOLDER:
                log.info("this server publishes the views", redis=self._connection.shown, writer=self._lease.writer)
            self.role = Role.HOLDER
        elif self.role is not Role.STANDBY:
            log.info("another server publishes the views", redis=self._connection.shown, writer=self._lease.other)
            self.role = Role.STANDBY
        return taken

    async def _start_over(self) -> None:
        """Makes everything wait to be written, and all other windows in Redis to be removed."""
        self._count(1)
        now = self._now_ms()
        foreign = filter(self._layout.is_windows, await self._index())
        # Also where the index is lost.
        kept = self._layout.between(now - self._views.retention_ms, now + HOUR_MS)
        changes = self._views.changes(0)
        self._pending.restart(changes.windows, [*foreign, *kept])
        self._version = changes.version
        self._sequence = ""
        self._audit = []
        self._is_published = True

    async def _index(self) -> list[str]:
        """The hashes that are in Redis, whoever wrote them."""
        try:
            keys = await self._connection.command("ZRANGE", self._layout.index, 0, -1)
        except RedisProblem as problem:
            if problem.trouble is Trouble.WRONG_TYPE:
                # The first write replaces it.
                return []
            raise
        return [bytes(key).decode(errors="replace") for key in keys]

    def _gather(self) -> None:
        changes = self._views.changes(self._version)
        self._pending.add(changes.windows)
        self._version = changes.version

    def _has_changed(self) -> bool:
        self._gather()
        return not self._pending.is_empty or self._totals != msgspec.json.encode(self._views.totals())

    def _is_due(self) -> bool:
        """Whether to write although no window has changed: for the totals, or for the lease."""
        if self._asked is None or self._totals != msgspec.json.encode(self._views.totals()):
            return True
        return self._monotonic() - self._asked >= self._renew_seconds

    async def _write(self, batch: Batch) -> float:
        now = self._now_ms()
        totals = msgspec.json.encode(self._views.totals())
        following = f"{self._lease.fence}.{self._number + 1}"
        expires = now + max(self._views.retention_ms, HOUR_MS) + DAY_MS
        self._count(batch.calls)
        value = self._lease.value or ""
        answer = await self._connection.script(
            WRITE,
            (self._layout.lease, self._layout.totals, self._layout.index, *batch.keys()),
            (
                value,
                self._lease.milliseconds,
                self._sequence,
                following,
                totals,
                rfc3339(now),
                self._lease.writer,
                self._lease.fence,
                expires,
                now,
                *batch.arguments(),
            ),
        )
        self._succeeded()
        if answer != b"written":
            return self._refused(answer)
        self._number += 1
        self._sequence = following
        self._totals = totals
        self._asked = self._written = self._monotonic()
        self._windows += batch.windows
        self._pending.written(batch)
        return 0.0 if not self._pending.is_empty else INTERVAL_SECONDS

    def _refused(self, answer: object) -> float:
        self._is_published = False
        if answer == b"fenced":
            self._lease.lost()
            log.warning("the lease to publish views was lost; it is asked for again", redis=self._connection.shown)
        else:
            log.warning("Redis has lost views; all of them are published again", redis=self._connection.shown)
        return 0.0

    async def _look_after(self) -> None:
        """Looks at a part of the hashes that Redis should have, and lets those be written again that it has lost."""
        if not self._audit:
            if self._monotonic() - self._audited < AUDIT_SECONDS:
                return
            self._audited = self._monotonic()
            self._audit = [row.key for row in self._pending.settled(self._now_ms())]
        looked = self._audit[:AUDIT_KEYS]
        # What has changed goes first; the audit comes with a later step.
        if not looked or not self._pending.is_empty or self._pace.wait(len(looked)):
            return
        self._count(len(looked))
        counts = await self._connection.pipeline([("HLEN", key) for key in looked])
        del self._audit[: len(looked)]
        expected = {row.key: row for row in self._pending.settled(self._now_ms())}
        for key, count in zip(looked, counts, strict=True):
            row = expected.get(key)
            if row is not None and count < len(row.starts):
                log.warning("Redis has lost views; they are published again", redis=self._connection.shown, key=key)
                self._pending.rewrite(key, self._views.windows(row.kind, row.start_ms, max(row.starts)))

    def _failed(self, problem: RedisProblem) -> float:
        if self.problem is None or self.problem.trouble is not problem.trouble:
            log.warning("Redis does not take the views", why=problem.what, todo=problem.trouble.value)
        self.problem = problem
        if problem.trouble is Trouble.WRONG_TYPE:
            # From the start everything but the lease is replaced, whatever is there.
            self._is_published = False
        self._failed_in_row += 1
        return min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * (1 << min(self._failed_in_row - 1, 8)))

    def _succeeded(self) -> None:
        if self.problem is not None:
            log.info("Redis takes the views again", redis=self._connection.shown)
        self.problem = None
        self._failed_in_row = 0

    def _count(self, calls: int) -> None:
        self._commands += calls

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)
