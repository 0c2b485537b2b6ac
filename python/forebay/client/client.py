"""The client for threads."""

from __future__ import annotations

import functools
import inspect
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar

from forebay.client import fork
from forebay.client.encoding import EVENT_BYTES, MIN_EVENT_BYTES, Encoder, Fields, TimestampLike
from forebay.client.endpoint import DRAIN, Endpoint, endpoint_of
from forebay.client.losses import Losses
from forebay.client.queue import MAX_EVENT_BYTES, Limits, Policy, Queue, Store
from forebay.client.rejection import Rejection, Rejections, TokenRefused
from forebay.client.row_buffer import MANY, RowBuffer
from forebay.client.search import Search, conditions_of
from forebay.client.sender import Senders
from forebay.client.spool.store import SpoolStore
from forebay.client.stats import Stats
from forebay.client.transport import Target

MIB = 1 << 20

BATCH_EVENTS = 500
"""The most that the drain's documentation recommends; bench/client.py shows what fewer cost."""

MAX_BATCH_EVENTS = 1000
"""The events API takes no more in a request."""

MAX_ENDPOINTS = 10_000
"""Streams that one client publishes to: each has a batch of its own."""

P = ParamSpec("P")
Method = TypeVar("Method", bound=Callable[..., Any])


def handed_over(
    make: Callable[Concatenate[Encoder, P], tuple[str, bytes]],
) -> Callable[Concatenate[Client, P], bool]:
    """Returns the client's method for a method of the encoder, with its signature."""

    def call(self: Client, /, *given: P.args, **named: P.kwargs) -> bool:
        name, event = make(self._encoder, *given, **named)
        endpoint = self._endpoint(name)
        return self._answer(endpoint, self._put(endpoint, event))

    return documented(call, make)


def documented(call: Method, make: Callable[..., Any]) -> Method:
    """Gives a client's method the name, the text and the signature of the encoder's that it hands over."""
    functools.update_wrapper(call, make, assigned=("__name__", "__doc__"))
    call.__signature__ = inspect.signature(make).replace(return_annotation="bool")  # type: ignore[attr-defined]
    return call


class Client:
    """Sends events to a forebay server in batches, in the background. See docs/client.md for what is promised.

    Every method may be called by any thread, and by the child of a fork, which starts with an empty queue.

    Args:
        url: http(s)://host:port; a path before the server's routes may follow.
        token: with the role `ingest`; None for a server without authentication.
        project_id, service: of log events that do not say; the service is the program's name if not given.
        spool: a directory. Every event is in a file there before its call returns, until the server has it, so that
            it outlives the process; a later client with the same directory sends what is left.
        spool_bytes: the most that this process writes there; what others left takes no room.
        spool_fsync: `interval` syncs the spool to the disk every 100 ms, so that up to that much is lost with the
            machine; `always` before each call returns.
        policy: what gives when the queue (or the spool) is full. `block` waits for room, up to `block_seconds` and
            only while the server takes anything, and then drops the event; `drop_newest` drops it at once;
            `drop_oldest` drops the oldest ones that are not under way.
        event_bytes: log and analytics events that would be larger are cut: their longest texts and last parts go.
        queue_events, queue_bytes: the bound of what waits in memory.
        batch_events, batch_bytes, linger_seconds: a batch is closed by number, by bytes or by age.
        connections: the most that send at once. With 1 events are stored in the order they were handed over.
        answer_seconds: how long an answer may take before the request is tried again.
        on_rejected: called on a sender's thread for events that the server refuses for good, and by the call itself for
            one of more than 64 MiB.
        when_refused: what calls do once the server has refused the token (401, 403) and until it takes something
            again: `return` False, or 0, or `raise` TokenRefused. Loggers never raise.
        rejected_file: where they are appended as NDJSON; with a spool `rejected.ndjson` in it.
        exit_seconds: how long the end of the process waits for events that are left.

    Raises:
        ValueError: an argument is out of its range.
        OSError: the spool's directory cannot be used.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        project_id: str = "default",
        service: str | None = None,
        spool: str | os.PathLike[str] | None = None,
        spool_bytes: int = 256 * MIB,
        spool_fsync: Literal["interval", "always"] = "interval",
        policy: Policy = "block",
        block_seconds: float = 5.0,
        event_bytes: int = EVENT_BYTES,
        queue_events: int = 100_000,
        queue_bytes: int = 64 * MIB,
        batch_events: int = BATCH_EVENTS,
        batch_bytes: int = MIB,
        linger_seconds: float = 0.1,
        connections: int = 4,
        answer_seconds: float = 10.0,
        on_rejected: Callable[[Rejection], None] | None = None,
        rejected_file: str | os.PathLike[str] | None = None,
        when_refused: Literal["return", "raise"] = "return",
        exit_seconds: float = 5.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        _check("batch_events", batch_events, 1, MAX_BATCH_EVENTS)
        _check("batch_bytes", batch_bytes, 1, 16 * MIB)
        _check("event_bytes", event_bytes, MIN_EVENT_BYTES, MAX_EVENT_BYTES)
        _check("queue_events", queue_events, 1, 1 << 40)
        _check("queue_bytes", queue_bytes, 1, 1 << 50)
        _check("connections", connections, 1, 64)
        _check("spool_bytes", spool_bytes, MIB, 1 << 50)
        _check("linger_seconds", linger_seconds, 0, 3600)
        _check("answer_seconds", answer_seconds, 0.001, 3600)
        _check("block_seconds", block_seconds, 0, 3600)
        _check("exit_seconds", exit_seconds, 0, 3600)
        _check_one_of("policy", policy, "block", "drop_newest", "drop_oldest")
        _check_named(project_id, spool, rejected_file, spool_fsync)
        _check_one_of("when_refused", when_refused, "return", "raise")
        self.exit_seconds = exit_seconds
        service = service or Path(sys.argv[0] if sys.argv else "").stem or "python"
        self._encoder = Encoder(project_id, service, event_bytes)
        self._encode_log = self._encoder.log
        limits = Limits(
            queue_events, queue_bytes, policy, block_seconds, batch_events, batch_bytes, float(linger_seconds)
        )
        store = Store(limits)
        if spool is not None:
            store = SpoolStore(limits, Path(spool), spool_bytes, always=spool_fsync == "always")
            rejected_file = rejected_file or Path(spool) / "rejected.ndjson"
        self._queue = Queue(limits, store)
        self._rejections = Rejections(on_rejected, rejected_file)
        self._target = target = Target.parse(url, token, tls)
        spool_path, rejected_path = (None if path is None else Path(path) for path in (spool, rejected_file))
        self._losses = Losses(self._queue, target.url, spool_path, rejected_path)
        self._raises = when_refused == "raise"
        self._senders = Senders(
            self._queue,
            target,
            self._rejections,
            self._losses,
            connections=connections,
            answer_seconds=answer_seconds,
        )
        self._endpoints: dict[str, Endpoint] = {}
        self._drain = self._endpoint(DRAIN)
        self._put = self._queue.put
        self._begin()

    def _begin(self) -> None:
        self._queue.on_work = self._senders.start
        self._queue.on_refused = self._senders.reject_untried
        self._queue.on_fork = functools.partial(fork.reinit, self)
        fork.register(self)
        self._queue.store.start(self._queue)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _endpoint(self, name: str) -> Endpoint:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            if len(self._endpoints) >= MAX_ENDPOINTS:
                raise ValueError(f"one client publishes to at most {MAX_ENDPOINTS} streams")
            # Of two threads that make the same one, both get the first.
            endpoint = self._endpoints.setdefault(name, endpoint_of(name))
        return endpoint

    # Events

    def log(
        self,
        message: str,
        level: str = "info",
        *,
        project_id: str | None = None,
        service: str | None = None,
        timestamp: TimestampLike | None = None,
        metadata: Fields | None = None,
    ) -> bool:
        # Written out, since it is called most: the others go through one more function.
        _, event = self._encode_log(
            message, level, project_id=project_id, service=service, timestamp=timestamp, metadata=metadata
        )
        return self._answer(self._drain, self._put(self._drain, event))

    log.__doc__ = Encoder.log.__doc__

    def log_many(self, events: Iterable[Fields | str]) -> int:
        """Hands over log events: mappings with the fields of `log` and any further ones, or messages. Returns how many
        of them were handed over; `stats()` counts those that the policy drops. Cheaper than as many calls of `log`.

        An event has the time at which it is taken, and of an iterator that takes its time what came is sent meanwhile.
        No row raises: a `timestamp` that is no moment goes as its text, and the server refuses that row alone. What the
        iterator itself raises comes out when everything before is handed over. One text or one mapping, which is no
        iterable of events, raises TypeError."""
        check_many(events)
        buffer = RowBuffer(self._queue, self._drain)
        rows, encode = buffer.rows, self._encoder.row
        # The first one tells a sender that there is something to come; a list does not keep anybody waiting.
        enough = MANY if isinstance(events, list | tuple) else 1
        self._senders.buffers.add(buffer)
        try:
            for event in events:
                rows.append(encode(event))
                if len(rows) >= enough:
                    buffer.hand_over()
                    enough = MANY
        finally:
            self._senders.buffers.discard(buffer)
            buffer.hand_over()
            self._losses.notice()
        return buffer.done if self._answer(self._drain, True) else 0

    def _answer(self, endpoint: Endpoint, kept: bool | None) -> bool:
        """Returns what a call answers for an event that was handed over."""
        if not kept:
            self._losses.notice()
        if not self._senders.refused or not (why := self._senders.why_refused(endpoint)):
            return kept is True
        if self._raises:
            raise TokenRefused(why)
        return False

    track = handed_over(Encoder.track)
    event = handed_over(Encoder.event)
    publish = handed_over(Encoder.publish)

    # What the server has

    def search(
        self,
        query: str = "",
        *,
        level: str | None = None,
        service: str | None = None,
        since: TimestampLike | None = None,
        until: TimestampLike | None = None,
        project_id: str | None = None,
        request_id: str | None = None,
        user_id: str | None = None,
        where: str | Iterable[str] = (),
        limit: int | None = None,
    ) -> Search:
        """The log events of the server that are all of this, the newest first; see `Search`. The token needs the role
        `ops`. Events of this client that are not delivered yet are not among them: `flush` before.

        Args:
            query: full text over the message and every value in the metadata, in any case: words, `begin*`,
                `"a phrase"`, `/regular expression/`, each excluded with a `-` before it.
            level: in any case; `warn` and `warning` are one.
            since, until: the first and the last time of an event. Without a zone it is local time.
            request_id, user_id: those of the metadata, as texts.
            where: conditions on values in the metadata: `status>=500`, `user.plan=free`.
            limit: the most hits of an iteration.

        Raises:
            ValueError, TypeError: an argument is none that can be searched for; what the server alone can tell, raises
                when it is first asked.
        """
        return Search(
            conditions_of(
                self._target,
                query,
                level=level,
                service=service,
                since=since,
                until=until,
                project_id=project_id,
                request_id=request_id,
                user_id=user_id,
                where=where,
                limit=limit,
            )
        )

    # The account, and the end

    def stats(self) -> Stats:
        queue, senders = self._queue, self._senders
        queue.check_fork()
        with queue.lock:
            spool = queue.store.stats
            return Stats(
                accepted=queue.accepted + queue.late,
                delivered=queue.delivered,
                pending=queue.pending,
                rejected=queue.rejected,
                dropped=queue.dropped,
                recovered=queue.recovered,
                batches=senders.batches,
                retries=senders.retries,
                connections=senders.running,
                spool_bytes=queue.store.file_bytes,
                corrupt_bytes=spool.corrupt_bytes,
                spool_errors=spool.errors,
                last_error=spool.last_error or senders.last_error,
            )

    def _look_for_orphans(self) -> None:
        """Takes over, soon, what processes that are gone have left in the spool; it happens now and then anyway."""
        self._queue.store.search()

    def flush(self, timeout: float = 30.0) -> int:
        """Waits until everything handed over before is delivered or rejected, up to `timeout` seconds. Returns how many
        events are not. In a signal handler that interrupted a call of this client it does not wait."""
        deadline = time.monotonic() + timeout
        queue, senders = self._queue, self._senders
        queue.check_fork()
        if queue.is_interrupted:
            return queue.pending
        senders.hurry()
        if queue.pending and not senders.start():
            # There can be no thread, as when the interpreter ends: whoever waits sends.
            queue.flush(0.0)
            senders.send_here(deadline)
        return queue.flush(max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float | None = None) -> int:
        """Ends the client: nothing further is accepted, what is left is sent for up to `timeout` seconds
        (`exit_seconds` if not given). Returns how many events are left: in the spool for the next process, or else
        lost. In a signal handler that interrupted a call of this client it leaves that to the end of the process."""
        self._queue.check_fork()
        if self._queue.is_interrupted:
            return self._queue.pending
        self._queue.close()
        self.flush(self.exit_seconds if timeout is None else timeout)
        self._senders.stop()
        self._queue.end()
        fork.unregister(self)
        self._losses.close(self._queue.pending, self._senders.last_error)
        # Now, since until the end events of others are found in a spool.
        return self._queue.pending

    # Called around a fork: see fork.py

    def _before_fork(self) -> None:
        self._queue.lock.acquire()

    def _after_fork_in_parent(self) -> None:
        self._queue.lock.release()

    def _reinit_after_fork(self) -> None:
        if not self._queue.is_here:
            self._senders.reinit_after_fork()
            self._losses.reinit_after_fork()
            self._rejections.reinit_after_fork()
            # The last step: with it this is the child's.
            self._queue.reinit_after_fork()


def check_many(events: object) -> None:
    """Refuses what would be taken apart into letters or the names of fields, each of them an event.

    Raises:
        TypeError: it is one text or one mapping.
    """
    if isinstance(events, str | bytes | Mapping):
        raise TypeError(f"log_many takes many events, not one {type(events).__name__}; put it into a list")


def _check_named(
    project_id: str,
    spool: str | os.PathLike[str] | None,
    rejected_file: str | os.PathLike[str] | None,
    spool_fsync: str,
) -> None:
    """Refuses what is named by an empty text, and a sync of a spool that is not there."""
    for name, value in (("project_id", project_id), ("spool", spool), ("rejected_file", rejected_file)):
        if value is not None and not os.fspath(value):
            raise ValueError(f"{name} is empty; leave it out, or name one")
    _check_one_of("spool_fsync", spool_fsync, "interval", "always")
    if spool is None and spool_fsync == "always":
        raise ValueError("spool_fsync is 'always', but there is no spool to sync; name one")


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, must be from {low} to {high}")


def _check_one_of(name: str, value: str, *words: str) -> None:
    if value not in words:
        listed = ", ".join(map(repr, words[:-1]))
        raise ValueError(f"{name} is {value!r}; it may be {listed} or {words[-1]!r}")
