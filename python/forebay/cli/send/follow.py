"""`forebay send --follow`: a growing file, sent as it grows, over rotations and restarts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from forebay.cli.send.batches import Batch, Line, Reader, Rejection
from forebay.cli.send.checkpoint import Checkpoint, CheckpointFile, LastWrite, Pending
from forebay.cli.send.delivery import Delivery
from forebay.cli.send.growing import NEVER, GrowingFile
from forebay.cli.send.path_watch import PathWatch
from forebay.cli.send.rotation import compressed, later, rotated
from forebay.cli.send.run import Outcome
from forebay.client.transport import DeliveryFailed, Target

POLL_SECONDS = 0.2
"""The interval at which new lines are looked for, and so the longest that a line waits for others to go with."""

QUIET_SECONDS = 2.0
"""A program may write to a file for a while after it was renamed, until it opens the new one."""


class FileFollower:
    """Sends the lines of `path` in their order, on one connection. `keep` gets each line that is not stored; False
    from it ends the run, as `stop` does. `sync` is called before what `keep` got is passed over for good.

    Before a batch is sent its end and its key are in the checkpoint file: after a crash the same bytes go under the
    same key, so that they are stored once, as long as the server's window for keys has not passed.
    """

    def __init__(
        self,
        path: Path,
        checkpoints: CheckpointFile,
        target: Target,
        *,
        patience_seconds: float | None,
        keep: Callable[[Line, str], bool],
        notice: Callable[[str], None],
        sync: Callable[[], None] = lambda: None,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self.outcome = Outcome()
        self._path = path
        self._checkpoints = checkpoints
        self._keep = keep
        self._sync = sync
        self._notice = notice
        self._quiet = quiet_seconds
        self._url = target.url
        self._stop = threading.Event()
        self._delivery = Delivery(target, patience_seconds=patience_seconds, stop=self._stop, on_retry=self._retried)
        self._watch = PathWatch(path)
        self._file: GrowingFile | None = None
        self._done = self._lines = 0
        """Bytes and lines of the file that are accounted for."""
        self._pending: Pending | None = None
        """The batch that comes next, and may have arrived."""
        self._last_write = LastWrite()
        """It is of the files that are read to their end."""
        self._unreadable = ""
        """Why what the path leads to cannot be opened, as it was told."""
        self._by_name = False
        """The file was found by its name: what came between it and the next one is not known."""

    def stop(self) -> None:
        """Ends the run soon; what is under way stays in the checkpoint. May be called from a signal's handler."""
        self._stop.set()

    def run(self) -> Outcome:
        """Returns after `stop`, or with `Outcome.failure` when it cannot go on. Raises OSError when a file cannot be
        read, or the checkpoint or what is put aside not be written."""
        self._watch.start()
        try:
            self._open()
            quiet_since = time.monotonic()
            while not self._stop.is_set():
                if self._send_new():
                    quiet_since = time.monotonic()
                elif self._file is not None and self._file.truncated:
                    self._after_truncation(self._file)
                elif not self._move_on(quiet_since):
                    self._stop.wait(POLL_SECONDS)
        except DeliveryFailed as failed:
            if not self._stop.is_set():
                self.outcome.failure = str(failed)
        finally:
            self._watch.close()
            self._delivery.close()
        return self.outcome

    # Where to read

    def _open(self) -> None:
        checkpoint = self._checkpoints.last
        if checkpoint is None:
            if self._is_readable() and not self._path.exists():
                self._notice(f"{self._path} is not there yet, and is waited for")
            return
        self._last_write = LastWrite(checkpoint.modified, checkpoint.read_at_modified)
        while not self._is_readable() and not self._stop.wait(POLL_SECONDS):
            pass
        # The file itself, or else a copy of it: it may have been copied and truncated.
        if (
            file := self._found(checkpoint, GrowingFile.was) or self._found(checkpoint, GrowingFile.is_copy)
        ) is not None:
            self._pending = checkpoint.pending
            self._by_name = not file.is_at(self._path)
            if self._by_name:
                file.left_at = NEVER
            self._read(file, checkpoint.offset, checkpoint.lines)
            if checkpoint.pending is not None:
                self._repeat(file, checkpoint.pending)
            return
        # Without a time there is no telling which files are later.
        self._by_name = checkpoint.modified > 0
        text = f"what was followed is gone, or was truncated, with what it had after byte {checkpoint.offset}"
        self._notice(text if checkpoint.pending is None else f"{text}, of which a batch may have arrived")

    def _is_readable(self) -> bool:
        """Tells whether the path leads to nothing or to what can be opened; logs once when not. What rotates a file may
        make the next one before it gives it to who reads it."""
        try:
            if (file := _opened(self._path)) is not None:
                file.close()
        except OSError as error:
            why = error.strerror or str(error)
            if why != self._unreadable:
                self._notice(f"{self._path} cannot be read, and is waited for: {why}")
            self._unreadable = why
            return False
        self._unreadable = ""
        return True

    def _found(self, checkpoint: Checkpoint, is_it: Callable[[GrowingFile, Checkpoint], bool]) -> GrowingFile | None:
        for place in (self._path, *rotated(self._path)):
            try:
                file = _opened(place, checkpoint.offset)
            except OSError:
                if place == self._path:
                    raise
                continue
            if file is None:
                continue
            if is_it(file, checkpoint):
                return file
            file.close()
        return None

    def _repeat(self, file: GrowingFile, pending: Pending) -> None:
        """The batch that was under way: the same bytes under the same key."""
        if file.status.st_size < pending.end:
            self._notice("the file was truncated before its last batch was known to have arrived")
            self._pending = None
            return
        file.limit = pending.end
        self._send_lines(file, pending)
        file.limit = None

    def _after_truncation(self, file: GrowingFile) -> None:
        """The rest of what it had is read where it was copied to, as far as that is to be found."""
        checkpoint = self._checkpoint(file)
        copy = self._found(checkpoint, GrowingFile.is_copy)
        copied = copy.status.st_size if copy is not None else file.position
        lost = max(0, file.seen - copied)
        text = f"{file.path} was truncated, and is read from its beginning"
        if copy is not None and copied > file.position:
            text += f", after the rest of its copy {copy.path}"
        self._notice(f"{text}; at least {lost} bytes that it had are lost" if lost else text)
        self.outcome.lost_bytes += lost
        done, lines = file.position, self._lines
        file.restart()
        if copy is not None and copied > done:
            copy.left_at = NEVER
            self._read(copy, done, lines, keeps=True)
            return
        if copy is not None:
            copy.close()
        self._read(file, 0, 0)

    def _move_on(self, quiet_since: float) -> bool:
        """Goes to the next file when this one is done; whether it did."""
        file = self._file
        if file is None:
            return self._to_next()
        if self._watch.next is None and file.is_at(self._path):
            return False
        modified = file.status.st_mtime_ns
        # Who renamed it may tell the program later, which writes to it until then.
        if file.left_at is None or time.monotonic() < file.left_at + self._quiet:
            self._watch.look_softly()
            return False
        if time.time() < modified / 1e9 + self._quiet and time.monotonic() < quiet_since + self._quiet:
            return False
        if not file.takes_rest:
            # Its last line may have no end.
            file.takes_rest = True
            return True
        self._last_write = self._last_write.and_of(file.inode, modified)
        return self._to_next()

    def _to_next(self) -> bool:
        """Goes to what the path led to next, or before that to a file that is known by its name alone; False when there
        is none that can be opened."""
        if not self._is_readable():
            return False
        self._watch.look_softly()
        following = self._watch.next
        until = None if following is None else following.status.st_mtime_ns
        found = None
        if self._file is not None or self._by_name:
            found = later(self._path, self._last_write, until, self._watch.known)
        file = following if found is None else _opened(found)
        if file is None:
            return False
        if self._by_name or found is not None or file.after_gap:
            self._pass_over(compressed(self._path, self._last_write.time, file.status.st_mtime_ns))
        self._by_name = found is not None
        if self._by_name:
            file.left_at = NEVER
        self._read(file, 0, 0)
        return True

    def _pass_over(self, files: list[Path]) -> None:
        if files:
            self.outcome.passed_over += len(files)
            names = ", ".join(str(file) for file in files)
            self._notice(f"passed over, since only files that are not compressed are read: {names}")

    def _read(self, file: GrowingFile, done: int, lines: int, *, keeps: bool = False) -> None:
        if file is not self._file:
            self._watch.read(file, keeps=keeps)
        self._file, self._done, self._lines = file, done, lines
        self._note(file)

    # FileSender

    def _checkpoint(self, file: GrowingFile) -> Checkpoint:
        return file.checkpoint(self._done, self._lines, self._last_write, self._pending)

    def _note(self, file: GrowingFile) -> None:
        self._sync()
        self._checkpoints.write(self._checkpoint(file))

    def _send_new(self) -> bool:
        """Sends what there is; whether there was anything."""
        if self._file is None:
            return False
        start = self._file.position
        self._send_lines(self._file)
        return self._file.position != start

    def _send_lines(self, file: GrowingFile, repeated: Pending | None = None) -> None:
        reader = Reader(file, self._lines)
        for found in reader:
            if isinstance(found, Rejection):
                self._reject(found)
                if not reader.held:
                    self._done, self._lines = found.line.end, found.line.number
            else:
                self._deliver(file, found.lines, repeated)
                self._done, self._lines = found.lines[-1].end, found.lines[-1].number
            self._end_if_stopped(file)
        self._done, self._lines = file.position, reader.last
        self._note(file)

    def _deliver(self, file: GrowingFile, lines: list[Line], repeated: Pending | None) -> None:
        key = ""
        out: tuple[int, ...] = ()
        if repeated is not None:
            out = repeated.without
            lines = [line for line in lines if line.end not in out]
            key = repeated.key if lines and lines[-1].end == repeated.end else ""
        while lines:
            self._end_if_stopped(file)
            part = Batch(lines, key) if key else self._delivery.part(lines)
            key, end = "", part.lines[-1].end
            self._pending = Pending(end, part.key, out)
            self._note(file)
            left, rejections = self._delivery.post(lines, part)
            for rejection in rejections:
                self._reject(rejection)
            out += tuple(rejection.line.end for rejection in rejections)
            if stored := len(lines) - len(left) - len(rejections):
                self.outcome.stored(stored)
                self._done, self._lines = end, part.lines[-1].number
            lines = left
            self._pending = None

    def _end_if_stopped(self, file: GrowingFile) -> None:
        if self._stop.is_set():
            # What is read and not sent is read again.
            self._note(file)
            raise DeliveryFailed("stopped")

    def _reject(self, rejection: Rejection) -> None:
        self.outcome.rejected += 1
        if not self._keep(rejection.line, rejection.reason):
            raise DeliveryFailed(f"line {rejection.line.number} is not a valid event: {rejection.reason}")

    def _retried(self, why: str) -> None:
        self.outcome.retries += 1
        if why != self.outcome.last_retry:
            self._notice(f"trying again at {self._url}: {why}")
        self.outcome.last_retry = why


def _opened(path: Path, position: int = 0) -> GrowingFile | None:
    try:
        return GrowingFile(path, position)
    except FileNotFoundError:
        return None
