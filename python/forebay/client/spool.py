"""The directory that events are in until the server has them.

Each process writes segment files of its own and holds a lock on each, so that any number of processes, forked workers
too, share one directory; files whose process is gone are adopted by whoever looks next.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from forebay.client.frame import EVENT, OPEN, pack
from forebay.client.segment import LEDGER, MAKING, SUFFIX, Place, Segment
from forebay.client.stats import SpoolAccount

SEGMENT_BYTES = 8 << 20
"""A file of at most about this, and an eighth of the whole at most: a file goes when all of it is delivered."""

OWN_FILES = 64
"""Of a large spool the files are larger, so that there are about this many: each takes a descriptor, or two with its
ledger, of the 1024 that a process has by default."""

ADOPTED_FILES = 32
"""So many files of other processes are taken over at a time, for the same reason: there may be thousands. The next ones
when half of these are delivered."""

MAKING_SECONDS = 60.0
"""A file is made within milliseconds; one that is still being made after this belongs to nobody."""


class Spool:
    """The files of this process. For one thread at a time, but for `sync`."""

    def __init__(self, directory: Path, limit: int) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.account = SpoolAccount()
        self.limit = limit
        """For `own`."""
        self.own = 0
        """Bytes in files of this process. What others left was within their limits, and takes no room from it."""
        self.adopted_files = 0
        self._directory = directory
        self._segment_bytes = max(min(SEGMENT_BYTES, limit // 8), limit // OWN_FILES)
        self._segments: dict[Segment, None] = {}
        self.current: Segment | None = None
        """The file that batches are begun in."""
        self._batches = 0
        self._named = 0
        self._names: set[str] = set()
        """Of the files that it made, also when they are closed: it is not who takes them over."""

    def open(self, lane: str) -> Place:
        """A place for a new batch. Raises OSError."""
        if self.current is None:
            segment = Segment.create(self._directory, self._name())
            # Whole: see the queue's backlog.
            self.current = segment
            self._segments[segment] = None
            self._batches = 0
            self.own += segment.size
            self.account.bytes += segment.size
        segment = self.current
        self._batches += 1
        number = self._batches
        end = segment.write(pack(OPEN, number, lane.encode()))
        place = Place(segment, number, segment.size, end)
        self.extend(place, end)
        return place

    def _name(self) -> str:
        # In the order of their making, whatever the clock does.
        self._named = max(self._named + 1, time.time_ns())
        name = f"{self._named:020d}-{uuid.uuid4().hex}"
        self._names.add(name)
        return name

    def write(self, place: Place, texts: Sequence[bytes]) -> int:
        """Writes events, all or none, of which the file then has no knowledge before `extend`. Where they end. Raises
        OSError."""
        number = place.number
        if len(texts) == 1:
            return place.segment.write(pack(EVENT, number, texts[0]))
        return place.segment.write(b"".join([pack(EVENT, number, text) for text in texts]))

    def extend(self, place: Place, end: int) -> bool:
        """Takes what was written up to `end` for a part of the file; False when it is not there any more."""
        segment = place.segment
        # Whole.
        if segment.written != end:
            return False
        grown = end - segment.size
        segment.size = place.end = end
        self.own += grown
        self.account.bytes += grown
        return True

    @property
    def is_full(self) -> bool:
        """Whether the current file is to be the last batches' that are open in it."""
        return self.current is not None and self.current.size >= self._segment_bytes

    @property
    def is_idle(self) -> bool:
        """Whether nothing that this process wrote waits."""
        return not any(segment.unsettled for segment in self._segments if not segment.adopted)

    def retire(self) -> None:
        """The next batch begins a new file. No batch is open."""
        # Whole.
        segment, self.current = self.current, None
        if segment is not None:
            segment.retired = True
            self.remove_if_settled(segment)

    def settle(self, place: Place, start: int, end: int, *, whole: bool) -> None:
        """Notes that a part is dealt with; `whole`: with it the batch is."""
        segment = place.segment
        with self.errors("the ledger cannot be written"):
            segment.settle(place.number, start, end)
        if whole:
            segment.unsettled.discard(place.number)
            self.remove_if_settled(segment)

    def cut(self, place: Place, indices: Iterable[int]) -> None:
        with self.errors("the ledger cannot be written"):
            for index in indices:
                place.segment.cut(place.number, index)

    def remove_if_settled(self, segment: Segment) -> None:
        if not segment.retired or segment.unsettled or segment not in self._segments:
            return
        with self.errors("a finished file cannot be removed"):
            segment.remove()
        # Whole.
        if segment in self._segments:
            del self._segments[segment]
            self.account.bytes -= segment.size
            if segment.adopted:
                self.adopted_files -= 1
            else:
                self.own -= segment.size
                self._names.discard(segment.name)

    def tidy(self) -> None:
        """Removes what should have been: that may have been broken off."""
        for segment in list(self._segments):
            self.remove_if_settled(segment)

    def errors(self, what: str) -> Errors:
        return Errors(self.account, what)

    def orphans(self) -> list[Path]:
        """The files that are not this process's, oldest first. Raises OSError."""
        for making in self._directory.glob(f"*{MAKING}"):
            # Cut off between its making and its naming: there is nothing in it. One that is being made may not be
            # locked yet, so its age decides.
            with suppress(OSError):
                if time.time() - making.stat().st_mtime > MAKING_SECONDS:
                    making.unlink()
        for ledger in self._directory.glob(f"*{LEDGER}"):
            # It is made after its file and goes after it: alone it is of a file that is finished.
            if not ledger.with_suffix(SUFFIX).exists():
                ledger.unlink(missing_ok=True)
        found = sorted(self._directory.glob(f"*{SUFFIX}"))
        mine = self._names | {segment.name for segment in list(self._segments)}
        return [path for path in found if path.stem not in mine]

    def adopt(self, path: Path) -> Segment | None:
        """Locks a file that nobody holds. It is kept track of from then on, so that the child of a fork finds it, and
        is not removed before `adopted`. Raises OSError."""
        segment = Segment.adopt(path)
        if segment is not None:
            self._segments[segment] = None
        return segment

    def leave(self, segment: Segment) -> None:
        """One that cannot be read."""
        self._segments.pop(segment, None)
        segment.close()

    def adopted(self, segment: Segment, damaged: int) -> None:
        segment.retired = True
        self.adopted_files += 1
        self.account.bytes += segment.size
        self.account.corrupt_bytes += damaged
        if damaged:
            self.account.last_error = f"{segment.path.name}: {damaged} damaged bytes were put aside"
        self.remove_if_settled(segment)

    def sync(self) -> None:
        """What is written so far, to the disk."""
        for segment in list(self._segments):
            with self.errors("the spool cannot be synced"):
                segment.sync(segment.size)

    def close(self) -> None:
        self.retire()
        self.tidy()
        for segment in list(self._segments):
            segment.close()
        self._segments.clear()

    def forget(self) -> None:
        """In the child of a fork: the files are the parent's."""
        for segment in list(self._segments):
            segment.forget()
        self._segments.clear()
        self._names.clear()
        self.current = None
        self.own = self.adopted_files = 0
        self.account = SpoolAccount()


class Errors:
    """Counts an OSError and goes on."""

    def __init__(self, account: SpoolAccount, what: str) -> None:
        self._account = account
        self._what = what

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        if not isinstance(error, OSError):
            return False
        self._account.errors += 1
        self._account.last_error = f"{self._what}: {error.strerror or error}"
        return True
