"""A whole run: one reader, several connections, and an account of every line."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from forebay.cli.send.batches import Batch, Line, Reader, Rejection
from forebay.cli.send.delivery import Delivery
from forebay.cli.send.source import Source
from forebay.client.transport import DeliveryFailed, Target

QUEUED_BATCHES_A_CONNECTION = 2
"""One ready when the connection is free, one being read."""

POLL_SECONDS = 0.1


@dataclass
class Outcome:
    """Where every line went."""

    acknowledged: int = 0
    batches: int = 0
    rejected: int = 0
    undelivered: int = 0
    retries: int = 0
    done_bytes: int = 0
    """Bytes of the input whose lines have been dealt with."""
    last_line: int = 0
    """The last one read."""
    lost_bytes: int = 0
    """Bytes of a followed file that are known to have been cut off before they were read."""
    passed_over: int = 0
    """Rotated files that were compressed before they were read."""
    last_retry: str = ""
    failure: str = ""
    """Why the run ended before the input did."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def stored(self, events: int) -> None:
        """Counts a request that was acknowledged with so many events; with none, it was not."""
        self.acknowledged += events
        self.batches += events > 0

    @property
    def complete(self) -> bool:
        return not (self.rejected or self.undelivered or self.failure)


class FileSender:
    """Sends what the descriptor `source` holds to `target`. `keep` gets each line that is not stored; False or an
    OSError from it ends the run.

    Each line up to `Outcome.last_line` is acknowledged or handed to `keep`; what comes after is still in the input.
    """

    def __init__(
        self, source: int, target: Target, *, connections: int, patience_seconds: float, keep: Callable[..., bool]
    ) -> None:
        self.outcome = Outcome()
        self._target = target
        self._connections = connections
        self._patience = patience_seconds
        self._keep = keep
        self._queue: queue.Queue[Batch | None] = queue.Queue(connections * QUEUED_BATCHES_A_CONNECTION)
        self._stop = threading.Event()
        self._asked = ""
        self._reader = Reader(Source(source, self._stop))

    def stop(self, why: str) -> None:
        """Ends the run: nothing further is read, what waits is handed to `keep`."""
        with self.outcome.lock:
            self.outcome.failure = self.outcome.failure or why
        self._stop.set()

    def ask_to_stop(self, why: str) -> None:
        """Ends the run as `stop` does, soon: a signal's handler, which must not wait for a lock, may call it."""
        self._asked = self._asked or why

    def run(self, on_progress: Callable[[Outcome], None]) -> Outcome:
        """Returns when every line read is accounted for. Calls `on_progress` on the caller's thread."""
        # A daemon: it may wait for input for ever, which must not hold up the end of the process.
        reader = threading.Thread(target=self._read, name="reader", daemon=True)
        workers = [
            threading.Thread(target=self._work, name=f"sender-{i}", daemon=True) for i in range(self._connections)
        ]
        # An interrupt waits until there is somebody to account for the lines: here it would end the command at once.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        for thread in (reader, *workers):
            thread.start()
        under_way = True
        while under_way:
            try:
                # It may come anywhere from here on, in this look too.
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                under_way = any(worker.is_alive() for worker in workers)
                if self._asked:
                    self.stop(self._asked)
                on_progress(self.outcome)
                if under_way:
                    time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                if self._stop.is_set():
                    raise
                self.stop("interrupted")
        reader.join()
        self._account_for_the_rest()
        on_progress(self.outcome)
        return self.outcome

    def _account_for_the_rest(self) -> None:
        while True:
            try:
                batch = self._queue.get_nowait()
            except queue.Empty:
                break
            if batch is not None:
                self._give_up(batch.lines, "the run was stopped")
        if self._reader.held:
            self._give_up(self._reader.held, "the run was stopped")
        self.outcome.last_line = self._reader.last

    def _read(self) -> None:
        try:
            for found in self._reader:
                if isinstance(found, Rejection):
                    self._reject(found.line, found.reason)
                elif not self._put(found):
                    self._give_up(found.lines, "the run was stopped")
                if self._stop.is_set():
                    return
        except (OSError, ValueError) as error:
            self.stop(f"the input cannot be read: {error}")
        except BaseException as error:
            self._failed(error)
            raise
        finally:
            for _ in range(self._connections):
                self._put(None)

    def _put(self, batch: Batch | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(batch, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def _work(self) -> None:
        delivery = Delivery(self._target, patience_seconds=self._patience, stop=self._stop, on_retry=self._retried)
        try:
            while (batch := self._next()) is not None:
                self._send(delivery, batch.lines)
        finally:
            delivery.close()

    def _failed(self, error: BaseException) -> None:
        """Ends the run for an error that nothing foresees: the other threads would wait for this one for ever."""
        self.stop(f"{threading.current_thread().name} failed: {type(error).__name__}: {error}")

    def _next(self) -> Batch | None:
        while True:
            try:
                return self._queue.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if self._stop.is_set():
                    return None

    def _send(self, delivery: Delivery, lines: list[Line]) -> None:
        end = lines[-1].end
        while lines:
            if self._stop.is_set():
                self._give_up(lines, "the run was stopped")
                return
            try:
                left, rejections = delivery.post(lines, delivery.part(lines))
            except DeliveryFailed as failed:
                self.stop(str(failed))
                self._give_up(lines, str(failed))
                return
            except BaseException as error:
                self._failed(error)
                self._give_up(lines, f"{type(error).__name__}: {error}")
                raise
            for rejection in rejections:
                self._reject(rejection.line, rejection.reason)
            with self.outcome.lock:
                self.outcome.stored(len(lines) - len(left) - len(rejections))
            lines = left
        with self.outcome.lock:
            self.outcome.done_bytes = max(self.outcome.done_bytes, end)

    def _give_up(self, lines: Sequence[Line], why: str) -> None:
        with self.outcome.lock:
            self.outcome.undelivered += len(lines)
            for line in lines:
                # One that cannot be kept is told by who keeps them, and the run ends anyway.
                with contextlib.suppress(OSError):
                    self._keep(line, f"not delivered: {why}")

    def _reject(self, line: Line, reason: str) -> None:
        why = f"line {line.number} is not a valid event: {reason}"
        with self.outcome.lock:
            self.outcome.rejected += 1
            try:
                wanted = self._keep(line, reason)
            except OSError as error:
                wanted, why = False, f"line {line.number} is rejected and cannot be put aside: {error.strerror}"
        if not wanted:
            self.stop(why)

    def _retried(self, why: str) -> None:
        with self.outcome.lock:
            self.outcome.retries += 1
            self.outcome.last_retry = why
