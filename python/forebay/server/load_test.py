"""The load test that the engine runs inside the server."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from forebay._forebay import Engine

MAX_EVENTS_PER_SECOND = 1_000_000
MAX_SECONDS = 3600
"""The longest run. The engine enforces both limits."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Rate = Annotated[float, msgspec.Meta(ge=0)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0)]


class LoadTestLatency(msgspec.Struct):
    """Milliseconds from the time at which a request was due to its acknowledgement, of the acknowledged requests."""

    p50: Milliseconds
    p95: Milliseconds
    p99: Milliseconds
    max: Milliseconds


class LoadTestProgress(msgspec.Struct, rename="camel"):
    """Progress of the load test that runs, or of the last one since the server's start; `idle` when there was none.

    Every event that was due counts once: `offeredEvents` is the sum of `acceptedEvents` (acknowledged),
    `rejectedEvents` (429), `failedEvents` (any other refusal; `failure` is the latest), `notSentEvents` (due while
    1024 requests were under way) and `inFlightEvents`. `achievedEventsPerSecond` is that of acknowledged events.
    """

    state: Literal["idle", "running", "finished", "stopped"]
    events_per_second: Count | None
    duration_seconds: Count | None
    started_at: int | None
    """Milliseconds since 1970 UTC."""
    elapsed_seconds: Rate
    offered_events: Count
    accepted_events: Count
    rejected_events: Count
    failed_events: Count
    not_sent_events: Count
    in_flight_events: Count
    offered_events_per_second: Rate
    achieved_events_per_second: Rate
    latency: LoadTestLatency
    failure: str | None


class LoadTest:
    """Starts and stops the load test. None of the methods waits for the disk."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(self, events_per_second: int, seconds: int) -> None:
        """Starts an open loop of synthetic events of the source `load_test`.

        Raises:
            Conflict: a load test runs already.
            InvalidRequest: a number is out of its range.
            StorageUnavailable: the log takes no writes.
        """
        self._engine.start_load_test(events_per_second, seconds)

    def progress(self) -> LoadTestProgress:
        return msgspec.convert(self._engine.load_test(), LoadTestProgress)

    def stop(self) -> bool:
        """Ends the load test: nothing is sent after this. Returns False when none was running."""
        return self._engine.stop_load_test()
