"""The threads that send."""

from __future__ import annotations

import logging
import math
import threading
import time

from forebay.client.batch import Batch
from forebay.client.bells import Bells
from forebay.client.delivery import Delivery, Undelivered
from forebay.client.feed import Feed
from forebay.client.lane import Lane
from forebay.client.losses import Losses
from forebay.client.own_thread import Own, launch, unsent
from forebay.client.queue import IDLE_SECONDS, Queue
from forebay.client.refusal import split
from forebay.client.rejection import Rejection, Rejections
from forebay.client.retry import backoff
from forebay.client.target import Target
from forebay.client.verdict import UNAUTHORIZED, Verdict, verdict

logger = logging.getLogger("forebay.client")

WAITING_BATCHES = 2
"""With more than these waiting after a delivery, one more connection is worth its thread."""

FEED_SECONDS = 0.05
"""How often at most feeds are looked at that their callers leave lying."""


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
        self.reset()

    def reset(self) -> None:
        """To none, as at first: in the child of a fork there are no threads."""
        # For the senders alone. What the application's threads call takes no lock: a signal's handler may raise there,
        # or wait for a sender.
        self._lock = threading.Lock()
        self._pauses = Bells()
        self._stopped = False
        self._until = math.inf
        self._not_before = 0.0
        self._hurried = 0
        self._failing = False
        self.running = 0
        self.batches = 0
        self.retries = 0
        self.last_error = ""
        self.refused: dict[str, str] = {}
        """Why the server refuses the token, by the lane, or for "" in all of them, until it takes something again."""
        self.feeds: set[Feed] = set()
        """Those whose callers are at it."""

    def start(self) -> bool:
        """The first one, if there is none. Cheap when there is. False when there can be no thread."""
        return bool(self.running) or self._add(0)

    def _add(self, running: int) -> bool:
        """One more than so many. It counts itself: whoever starts it may be broken off by a signal's handler, and then
        nobody knows whether it runs. Of two that are started for that reason, or before the first has counted itself,
        one ends at once."""
        if self.running != running or self._stopped:
            return True
        try:
            launch(self._run, running, name=f"forebay-sender-{running}")
        except RuntimeError as error:
            # Those that run are enough.
            self.last_error = str(error)
            return False
        return True

    def send_here(self, until: float) -> None:
        """Sends what waits on the calling thread, up to that time, unless a thread does."""
        self._until = until
        try:
            with Own():
                self._run(0)
        finally:
            self._until = math.inf

    @property
    def _is_over(self) -> bool:
        return self._stopped or time.monotonic() >= self._until

    def hurry(self) -> None:
        """Ends the waits between tries, but for those the server asked for: somebody waits for the outcome."""
        self._hurried += 1
        self._pauses.ring_all()

    def stop(self) -> None:
        """What is under way is not waited for, and nothing is tried again."""
        self._stopped = True
        self._pauses.ring_all()

    def refuse(self, rejection: Rejection) -> None:
        """An event that is not even tried."""
        self._reject([rejection])

    def is_refused(self, lane: Lane) -> bool:
        """Whether the server refused the token, and has taken nothing since."""
        return "" in self.refused or lane.name in self.refused

    def why_refused(self, lane: Lane) -> str:
        return self.refused.get("") or self.refused.get(lane.name, "")

    def _run(self, running: int) -> None:
        lock = self._lock
        with lock:
            if self.running != running:
                return
            self.running += 1
        try:
            self._deliver(first=not running)
        finally:
            with lock:
                self.running -= 1

    def _deliver(self, *, first: bool) -> None:
        delivery = Delivery(
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
                    if self._until < math.inf or not (first or self.feeds) or self._queue.closed:
                        break
                    continue
                try:
                    self._send(delivery, batch)
                except Undelivered:
                    break  # stopped; what is left stays pending
                except Exception as error:
                    # Whatever it is, a thread that ended would leave its batch and all that follow lying.
                    unsent(logger.exception, "a batch is tried again")
                    failures += 1
                    self._retried(f"{type(error).__name__}: {error}")
                    self._pause(backoff(failures), 0.0)
                else:
                    batch, failures = None, 0
        finally:
            delivery.close()

    def _take(self) -> Batch | None:
        """The next batch; None when there is none for a while."""
        if self._until < math.inf:
            return self._queue.take(0.0)
        if not self.feeds:
            return self._queue.take(IDLE_SECONDS)
        for feed in tuple(self.feeds):
            feed.hand_over_what_fits()
        return self._queue.take(min(max(self._queue.limits.linger_seconds, FEED_SECONDS), IDLE_SECONDS))

    def _send(self, delivery: Delivery, batch: Batch) -> None:
        if not batch.left:
            return  # all of it was settled before something else went wrong
        try:
            events = batch.held()
        except OSError as error:
            self._reject([Rejection(batch.lane.name, None, f"the spool cannot be read: {error}", batch.left)])
            for start, end in batch.parts():
                self._queue.settle(batch, start, end, end - start)
            return
        self._queue.sync(batch)
        parts = batch.parts()
        # A spool that is closed takes no notes: what is refused would be left, and sent, for ever.
        while parts and not self._is_over:
            if self._not_before > time.monotonic() and not self._pause(0.0, 0.0):
                break
            start, end = parts.pop(0)
            some = events[start:end]
            lane = batch.lane
            answer = delivery.post(lane.path, lane.headers(batch.part_key(start, end)), lane.body(some))
            found = verdict(answer, end - start)
            if found.whole and found.splits and end - start > 1:
                self._split(batch, start, end, some, found)
                parts = batch.parts()
            else:
                self._settle(batch, start, end, some, found)
        if self._failing:
            self._failing = False
            unsent(logger.info, "forebay takes events again")
        if self._queue.waits > WAITING_BATCHES and self.running < self._max:
            self._add(self.running)

    def _split(self, batch: Batch, start: int, end: int, events: list[bytes], found: Verdict) -> None:
        """Refuses what is refused for sure, and leaves the rest in parts."""
        made = split(found, events)
        self._queue.cut(batch, {start + cut for cut in made.cuts} - batch.cuts - {start, end})
        for low, high in made.refused:
            self._settle(batch, start + low, start + high, events[low:high], found)

    def _settle(self, batch: Batch, start: int, end: int, events: list[bytes], found: Verdict) -> None:
        lane = batch.lane.name
        self._note_token(lane, found)
        if found.mismatch and batch.recovered:
            # Its key was taken by the whole of what the spool holds only a part of any more: the server has it all.
            found = Verdict()
        if found.whole:
            refused = [Rejection(lane, event, found.whole) for event in events]
        else:
            refused = [Rejection(lane, events[index], why) for index, why in sorted(found.rejected.items())]
            with self._lock:
                self.batches += 1
        count = len(refused)
        if found.quarantined:
            refused.append(Rejection(lane, None, "put on the server's stream of rejected events", found.quarantined))
            count += found.quarantined
        try:
            # Told before it counts: who waits until nothing is pending finds what was rejected.
            self._reject(refused, of_token=found.is_of_token)
        finally:
            # Whatever came of telling: the server has had its say, and is not asked again.
            self._queue.settle(batch, start, end, count)

    def _note_token(self, lane: str, found: Verdict) -> None:
        with self._lock:
            if found.is_of_token:
                self.refused["" if found.status == UNAUTHORIZED else lane] = found.whole
            elif not found.whole:
                self.refused.pop("", None)
                self.refused.pop(lane, None)

    def _reject(self, refused: list[Rejection], *, of_token: bool = False) -> None:
        self._losses.notice()
        if not refused:
            return
        self.last_error = refused[-1].reason
        if failure := self._rejections.keep(refused):
            self.last_error = failure
            unsent(logger.error, "%s", failure)
        self._losses.refused(sum(one.count for one in refused), refused[-1].reason, of_token=of_token)

    def _retried(self, why: str) -> None:
        with self._lock:
            self.retries += 1
            self.last_error = why
            news, self._failing = not self._failing, True
        self._losses.notice()
        if news:
            unsent(logger.warning, "forebay does not take events, they wait: %s", why)

    def _pause(self, seconds: float, asked: float) -> bool:
        """Waits, up to `seconds` but for what the server asked for: that holds for every connection."""
        now = time.monotonic()
        with self._lock:
            self._not_before = max(self._not_before, now + asked)
        hurried, own = self._hurried, now + seconds
        while not self._is_over:
            bell = self._pauses.hang()
            until = max(self._not_before, own) if self._hurried == hurried else self._not_before
            left = until - time.monotonic()
            if left > 0 and not self._stopped:
                bell.acquire(timeout=max(0.0, min(left, self._until - time.monotonic())))
            self._pauses.take_down(bell)
            if left <= 0:
                return True
        return False
