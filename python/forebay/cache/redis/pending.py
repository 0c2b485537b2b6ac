"""What is still to be written to Redis, by its hashes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from forebay.cache.cache import Kind
from forebay.cache.redis.layout import Layout, key_start, span_ms
from forebay.cache.redis.scripts import HASH_CALLS, WRITE_CALLS
from forebay.cache.shapes import HOUR_MS
from forebay.cache.times import rfc3339
from forebay.cache.views import Window

MAX_HASHES = 10
"""The most hashes of a batch."""

MAX_BYTES = 1 << 20
"""The bytes from which a batch takes no further hash: Redis does nothing else while it writes one."""

MAX_REMOVED = 1_000
"""The most hashes that a batch removes; they are arguments of one command."""


@dataclass(slots=True)
class Hash:
    """A key of Redis with windows.

    Attributes:
        start_ms: the start of its first window.
        expires_ms: when Redis forgets it.
        starts: the windows that Redis has, or will have once nothing is pending.
        waiting: those that are to be written, by their start.
        replace: whether others that Redis may have there go first.
    """

    key: str
    kind: Kind
    start_ms: int
    expires_ms: int
    starts: set[int] = field(default_factory=set)
    waiting: dict[int, bytes] = field(default_factory=dict)
    replace: bool = False


@dataclass(slots=True, frozen=True)
class Batch:
    """What one script writes."""

    removed: list[str]
    hashes: list[Hash]

    @property
    def calls(self) -> int:
        """The most commands that Redis counts for it."""
        return WRITE_CALLS + HASH_CALLS * len(self.hashes)

    @property
    def windows(self) -> int:
        return sum(len(row.waiting) for row in self.hashes)

    def keys(self) -> list[str]:
        return [*self.removed, *(row.key for row in self.hashes)]

    def arguments(self) -> list[str | bytes | int]:
        """As `scripts.WRITE` takes them, from the 11th."""
        given: list[str | bytes | int] = [len(self.removed)]
        for row in self.hashes:
            given += ["replace" if row.replace else "add", row.expires_ms, 2 * len(row.waiting)]
            for start, body in row.waiting.items():
                given += [rfc3339(start), body]
        return given


class Pending:
    """The hashes of one server, and what of them Redis does not have yet. It holds no more windows than `Views`
    does."""

    def __init__(self, layout: Layout, retention_ms: int) -> None:
        self._layout = layout
        self._retention_ms = retention_ms
        self._hashes: dict[str, Hash] = {}
        self._waiting: dict[str, Hash] = {}
        self._removed: list[str] = []

    def __len__(self) -> int:
        """The windows that wait."""
        return sum(len(row.waiting) for row in self._waiting.values())

    @property
    def is_empty(self) -> bool:
        return not self._waiting and not self._removed

    def add(self, windows: Iterable[Window]) -> None:
        """Takes windows that have changed."""
        for window in windows:
            row = self._hash(window.kind, window.start_ms)
            row.starts.add(window.start_ms)
            row.waiting[window.start_ms] = window.body
            self._waiting[row.key] = row

    def restart(self, windows: Iterable[Window], foreign: Iterable[str]) -> None:
        """Begins anew: `windows` are all there are, and the hashes `foreign`, unless they have some of them, go."""
        self._hashes.clear()
        self._waiting.clear()
        self.add(windows)
        for row in self._hashes.values():
            row.replace = True
        self._removed = [key for key in dict.fromkeys(foreign) if key not in self._hashes]

    def rewrite(self, key: str, bodies: dict[int, bytes]) -> None:
        """Writes a hash again, of which these are all windows there are now."""
        row = self._hashes[key]
        row.starts, row.waiting, row.replace = set(bodies), dict(bodies), True
        if bodies:
            self._waiting[key] = row
        else:
            del self._hashes[key]
            self._waiting.pop(key, None)

    def settled(self, now_ms: int) -> list[Hash]:
        """The hashes of which Redis should have every window, without those that it has forgotten by now."""
        for key in [key for key, row in self._hashes.items() if row.expires_ms <= now_ms]:
            del self._hashes[key]
            self._waiting.pop(key, None)
        return [row for row in self._hashes.values() if not row.waiting]

    def next(self) -> Batch:
        """The newest that wait, as many as one script may write."""
        batch: list[Hash] = []
        size = 0
        for row in sorted(self._waiting.values(), key=lambda row: row.start_ms + span_ms(row.kind), reverse=True):
            if len(batch) == MAX_HASHES or size > MAX_BYTES:
                break
            batch.append(row)
            size += sum(map(len, row.waiting.values()))
        return Batch(self._removed[:MAX_REMOVED], batch)

    def written(self, batch: Batch) -> None:
        """Forgets what Redis has now. Nothing may have been added since `next`."""
        for row in batch.hashes:
            row.waiting = {}
            row.replace = False
            del self._waiting[row.key]
        del self._removed[: len(batch.removed)]

    def _hash(self, kind: Kind, start_ms: int) -> Hash:
        key = self._layout.windows(kind, start_ms)
        row = self._hashes.get(key)
        if row is None:
            start = key_start(kind, start_ms)
            # The views keep the running hour however short the retention.
            expires = start + span_ms(kind) + max(self._retention_ms, HOUR_MS)
            row = self._hashes[key] = Hash(key, kind, start, expires)
        return row
