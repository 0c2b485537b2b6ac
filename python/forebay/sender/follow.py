"""`forebay send --follow`: a growing file, sent as it grows, over rotations and restarts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from forebay.client.target import Target
from forebay.sender.batches import Batch, Line, Reader, Rejection
from forebay.sender.delivery import Delivery, Gone, Refused
from forebay.sender.growing import GrowingFile, is_replaced, rotated, successor
from forebay.sender.mark import MarkFile, Pending
from forebay.sender.run import Outcome

POLL_SECONDS = 0.2
"""How often the file is looked at, and so the longest that a line waits for others to go with."""

QUIET_SECONDS = 2.0
"""A program may write to a file for a while after it was renamed, until it opens the new one."""


class Following:
    """Sends the lines of `path` in their order, on one connection. `keep` gets each line that is not stored; False
    from it ends the run, as `stop` does.

    Before a batch is sent its end and its key are in the mark file: after a crash the same bytes go under the same
    key, so that they are stored once, as long as the server's window for keys has not passed.
    """

    def __init__(
        self,
        path: Path,
        marks: MarkFile,
        target: Target,
        *,
        patience_seconds: float | None,
        keep: Callable[[Line, str], bool],
        notice: Callable[[str], None],
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self.outcome = Outcome()
        self._path = path
        self._marks = marks
        self._keep = keep
        self._notice = notice
        self._quiet = quiet_seconds
        self._stop = threading.Event()
        self._delivery = Delivery(target, patience_seconds=patience_seconds, stop=self._stop, on_retry=self._retried)
        self._file: GrowingFile | None = None

    def stop(self) -> None:
        """Ends the run soon; what is under way stays in the mark. May be called from a signal's handler."""
        self._stop.set()

    def run(self) -> Outcome:
        """Returns after `stop`, or with `Outcome.failure` when it cannot go on. Raises OSError when the file or the
        mark cannot be read or written."""
        try:
            self._open()
            quiet_since = time.monotonic()
            while not self._stop.is_set():
                if self._send_new():
                    quiet_since = time.monotonic()
                elif self._file is not None and self._file.was_truncated():
                    self._notice(f"{self._path} was truncated, and is read from its beginning")
                elif not self._move_on(quiet_since):
                    self._stop.wait(POLL_SECONDS)
        except Gone as gone:
            if not self._stop.is_set():
                self.outcome.failure = str(gone)
        finally:
            self._delivery.close()
            if self._file is not None:
                self._file.close()
        return self.outcome

    # Where to read

    def _open(self) -> None:
        mark = self._marks.mark
        if mark is None:
            return
        for place in (self._path, *rotated(self._path)):
            try:
                file = GrowingFile(place, mark.offset)
            except FileNotFoundError:
                continue
            if file.was(mark):
                self._file = file
                if mark.pending is not None:
                    self._repeat(file, mark.pending)
                return
            file.close()
        self._notice(f"the file that was followed is gone, with what it had after byte {mark.offset}")

    def _repeat(self, file: GrowingFile, pending: Pending) -> None:
        """The batch that was under way: the same bytes under the same key."""
        if file.status.st_size < pending.end:
            self._notice("the file was truncated before its last batch was known to have arrived")
            return
        file.limit = pending.end
        self._send_lines(file, pending.key)
        file.limit = None

    def _move_on(self, quiet_since: float) -> bool:
        """Goes to the next file when this one is done; whether it did."""
        if self._file is None:
            return self._begin(self._path)
        if not is_replaced(self._path, self._file):
            return False
        if time.time() < self._file.status.st_mtime + self._quiet and time.monotonic() < quiet_since + self._quiet:
            return False
        if not self._file.takes_rest:
            # Its last line may have no end.
            self._file.takes_rest = True
            return True
        follower = successor(self._path, self._file)
        done, self._file = self._file, None
        if self._begin(follower):
            done.close()
            return True
        self._file = done
        return False

    def _begin(self, path: Path) -> bool:
        try:
            self._file = GrowingFile(path)
        except FileNotFoundError:
            return False
        self._marks.write(self._file.mark(0))
        return True

    # Sending

    def _send_new(self) -> bool:
        """Sends what there is; whether there was anything."""
        if self._file is None:
            return False
        start = self._file.position
        self._send_lines(self._file)
        if self._file.position == start:
            return False
        self._marks.write(self._file.mark(self._file.position))
        return True

    def _send_lines(self, file: GrowingFile, key: str | None = None) -> None:
        base = done = file.position
        for found in Reader(file):
            if isinstance(found, Rejection):
                self._reject(found.line, found.reason)
            else:
                end = base + found.lines[-1].end
                batch = found if key is None else Batch(found.lines, key)
                mark = file.mark(done)
                self._marks.write(msgspec.structs.replace(mark, pending=Pending(end, batch.key)))
                self._deliver(batch)
                done = end
            if self._stop.is_set():
                # What is read and not sent is read again.
                file.position = done
                self._marks.write(file.mark(done))
                raise Gone("stopped")

    def _deliver(self, batch: Batch) -> None:
        while batch.lines:
            try:
                self._delivery.post(batch)
            except Refused as refused:
                line, batch = batch.without(refused.index)
                self._reject(line, refused.reason)
            else:
                self.outcome.acknowledged += len(batch.lines)
                self.outcome.batches += 1
                return

    def _reject(self, line: Line, reason: str) -> None:
        self.outcome.rejected += 1
        if not self._keep(line, reason):
            raise Gone(f"a line is not a valid event: {reason}")

    def _retried(self, why: str) -> None:
        self.outcome.retries += 1
        if why != self.outcome.last_retry:
            self._notice(f"trying again: {why}")
        self.outcome.last_retry = why
