"""The threads that send."""

from __future__ import annotations

import logging
import math
import threading
import time

from forebay.client.batch import Batch, EventsLost
from forebay.client.endpoint import Endpoint
from forebay.client.losses import REPEAT_SECONDS, Losses
from forebay.client.own_thread import as_own_thread, log_unsent, start_thread
from forebay.client.queue import IDLE_SECONDS, Queue
from forebay.client.rejection import Rejection, Rejections
from forebay.client.results import MISMATCH, UNAUTHORIZED, BatchResult, result_of, split
from forebay.client.row_buffer import RowBuffer
from forebay.client.transport import DeliveryFailed, RetryingTransport, Target, backoff

logger = logging.getLogger("forebay.client")

WAITING_BATCHES = 2
"""One more connection is worth its thread when more than these wait after a delivery."""

READ_AGAIN_SECONDS = 1.0
"""The interval at which a spool's file is tried that cannot be read, as when the process has no descriptor left."""

BUFFER_SECONDS = 0.05
"""The interval at which row buffers are emptied whose callers wait for their iterators."""


class Senders:
    """One thread a connection: the first with the first event, more when batches wait while deliveries succeed. All
    but the first end when they idle."""

    def __init__(
        self,
        queue: Queue,
        target: Target,
        rejections: Rejections,
        losses: Losses,
        *,
        connections: int,
        answer_seconds: float,
    ) -> None:
        self._queue = queue
        self._target = target
        self._rejections = rejections
        self._losses = losses
        self._max = connections
        self._answer_seconds = answer_seconds
        self.reinit_after_fork()

    def reinit_after_fork(self) -> None:
        """In the child of a fork there are no threads."""
        self._changed = threading.Condition()
        self._stopped = False
        self._until = math.inf
        self._not_before = 0.0
        self._hurried = 0
        self._failing = False
        self._unreadable_due = 0.0
        """When it is said next that the spool cannot be read."""
        self.running = 0
        self.batches = 0
        self.retries = 0
        self.last_error = ""
        self.refused: dict[str, str] = {}
        """Why the server refuses the token, by the endpoint, or for "" on all of them, until it takes something
        again."""
        self.buffers: set[RowBuffer] = set()
        """Those whose callers add to them."""

    def start(self) -> bool:
        """Starts the first thread, if there is none. Cheap when there is. False when there can be no thread."""
        return bool(self.running) or self._add(0)

    def _add(self, running: int) -> bool:
        """Starts one more than so many. The thread counts itself: of two that are started at the same moment one ends
        at once."""
        if self.running != running or self._stopped:
            return True
        try:
            start_thread(self._run, running, name=f"forebay-sender-{running}")
        except RuntimeError as error:
            # Those that run are enough.
            self.last_error = str(error)
            return False
        return True

    def send_here(self, until: float) -> None:
        """Sends what waits on the calling thread, up to that time, unless a thread does."""
        self._until = until
        try:
            with as_own_thread():
                self._run(0)
        finally:
            self._until = math.inf

    @property
    def _is_over(self) -> bool:
        return self._stopped or time.monotonic() >= self._until

    def hurry(self) -> None:
        """Ends the waits between tries, but for those the server asked for: somebody waits for the outcome."""
        with self._changed:
            self._hurried += 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Ends the threads soon: what is under way is not waited for, and nothing is tried again."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def why_refused(self, endpoint: Endpoint) -> str:
        """Returns why the server refused the token, when it has taken nothing since; else an empty text."""
        return self.refused.get("") or self.refused.get(endpoint.name, "")

    def _run(self, running: int) -> None:
        with self._changed:
            if self.running != running:
                return
            self.running += 1
        try:
            self._deliver(first=not running)
        finally:
            with self._changed:
                self.running -= 1

    def _deliver(self, *, first: bool) -> None:
        transport = RetryingTransport(
            self._target,
            answer_seconds=self._answer_seconds,
            pause=self._pause,
            on_retry=self._retried,
            until=self._until,
        )
        failures = 0
        batch: Batch | None = None
        try:
            while not self._is_over:
                batch = batch or self._take()
                if batch is None:
                    if self._until < math.inf or not (first or self.buffers) or self._queue.closed:
                        break
                    continue
                try:
                    self._send(transport, batch)
                except DeliveryFailed:
                    break  # stopped; what is left stays pending
                except Exception as error:
                    # Whatever it is, a thread that ended would leave its batch and all that follow lying.
                    log_unsent(logger.exception, "a batch is tried again")
                    failures += 1
                    self._retried(f"{type(error).__name__}: {error}")
                    self._pause(backoff(failures), 0.0)
                else:
                    batch, failures = None, 0
        finally:
            transport.close()

    def _take(self) -> Batch | None:
        """Returns the next batch; None when there is none for a while."""
        if self._until < math.inf:
            return self._queue.take(0.0)
        if not self.buffers:
            return self._queue.take(IDLE_SECONDS)
        for buffer in tuple(self.buffers):
            buffer.hand_over_what_fits()
        return self._queue.take(min(max(self._queue.limits.linger_seconds, BUFFER_SECONDS), IDLE_SECONDS))

    def _send(self, transport: RetryingTransport, batch: Batch) -> None:
        if not batch.left:
            return  # all of it was settled before something else went wrong
        try:
            events = batch.read()
        except EventsLost as error:
            # Of one that is over the spool is given up, and may have been sent and removed by another process.
            if not self._is_over:
                self._lose(batch, str(error))
            return
        except OSError as error:
            self._put_aside(batch, error)
            return
        self._queue.store.sync(batch)
        endpoint, parts = batch.endpoint, batch.parts()
        # A spool that is closed takes no notes: what is refused would be left, and sent, for ever.
        while parts and not self._is_over:
            if self._not_before > time.monotonic() and not self._pause(0.0, 0.0):
                break
            start, end = parts.pop(0)
            some = events[start:end]
            answer = transport.post(endpoint.path, endpoint.headers(batch.part_key(start, end)), endpoint.body(some))
            result = result_of(answer, end - start)
            if result.splits and end - start > 1:
                self._split(batch, start, some, result)
                parts = batch.parts()
            else:
                self._settle(batch, start, some, result)
        if self._failing:
            self._failing = False
            log_unsent(logger.info, "the server at %s takes events again", self._target.url)
        if self._queue.waits > WAITING_BATCHES and self.running < self._max:
            self._add(self.running)

    def _put_aside(self, batch: Batch, error: OSError) -> None:
        """Leaves a batch that cannot be read where it is, and the sender to the others."""
        self._queue.put_aside(batch, READ_AGAIN_SECONDS)
        self.last_error = f"the spool cannot be read: {error}"
        if time.monotonic() >= self._unreadable_due:
            self._unreadable_due = time.monotonic() + REPEAT_SECONDS
            log_unsent(logger.warning, "%s", f"{self.last_error}; what is in it waits")

    def _lose(self, batch: Batch, why: str) -> None:
        reason = f"the spool has lost them: {why}"
        if kept := self._queue.store.keep_damaged(batch):
            reason += f"; what is left of their file is {kept}"
        left = batch.left
        self._reject([Rejection(batch.endpoint.name, None, reason, left)], unkept="only their number is kept")
        for start, end in batch.parts():
            self._queue.settle(batch, start, end, end - start)

    def _split(self, batch: Batch, start: int, events: list[bytes], result: BatchResult) -> None:
        """Refuses what is refused for sure, and leaves the rest in parts."""
        made = split(result, events)
        self._queue.cut(batch, {start + cut for cut in made.cuts})
        for low, high in made.refused:
            self._settle(batch, start + low, events[low:high], result)

    def _settle(self, batch: Batch, start: int, events: list[bytes], result: BatchResult) -> None:
        name = batch.endpoint.name
        self._note_token(name, result)
        if result.status == MISMATCH and batch.is_recovered:
            # Its key was taken by the whole of what the spool holds only a part of any more: the server has it all.
            result = BatchResult()
        if result.whole:
            refused = [Rejection(name, event, result.whole) for event in events]
        else:
            refused = [Rejection(name, events[index], why) for index, why in sorted(result.rejected.items())]
            with self._changed:
                self.batches += 1
        count = len(refused) + result.quarantined
        if result.quarantined:
            refused.append(Rejection(name, None, "put on the server's stream of rejected events", result.quarantined))
        try:
            # Told before it counts: who waits until nothing is pending finds what was rejected.
            self._reject(refused, of_token=result.is_of_token)
        finally:
            # Whatever came of telling: the server has had its say, and is not asked again.
            self._queue.settle(batch, start, start + len(events), count)

    def _note_token(self, name: str, result: BatchResult) -> None:
        with self._changed:
            if result.is_of_token:
                self.refused["" if result.status == UNAUTHORIZED else name] = result.whole
            elif not result.whole:
                self.refused.pop("", None)
                self.refused.pop(name, None)

    def reject_untried(self, rejection: Rejection) -> None:
        self._reject([rejection])

    def _reject(self, refused: list[Rejection], *, of_token: bool = False, unkept: str = "") -> None:
        self._losses.notice()
        if not refused:
            return
        self.last_error = refused[-1].reason
        if failure := self._rejections.keep(refused):
            self.last_error = failure
            log_unsent(logger.error, "%s", failure)
        count, unkept = sum(one.count for one in refused), unkept or self._rejections.unkept
        self._losses.refused(count, refused[-1].reason, of_token=of_token, unkept=unkept)

    def _retried(self, why: str) -> None:
        with self._changed:
            self.retries += 1
            self.last_error = why
            news, self._failing = not self._failing, True
        self._losses.notice()
        if news:
            log_unsent(logger.warning, "the server at %s takes no events, they wait: %s", self._target.url, why)

    def _pause(self, seconds: float, asked: float) -> bool:
        """Waits, up to `seconds` but for what the server asked for: that holds for every connection."""
        with self._changed:
            now = time.monotonic()
            self._not_before = max(self._not_before, now + asked)
            hurried, own = self._hurried, now + seconds
            while not self._is_over:
                until = max(self._not_before, own) if self._hurried == hurried else self._not_before
                left = until - time.monotonic()
                if left <= 0:
                    return True
                self._changed.wait(min(left, self._until - time.monotonic()))
            return False
