"""The account of a client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """The account of one client in one process. At any instant `accepted` is the sum of `delivered`, `pending`,
    `rejected` and `dropped`.

    Attributes:
        accepted: events that were handed over and were not refused with an exception.
        delivered: acknowledged by the server as stored.
        pending: in memory or in the spool, under way included.
        rejected: refused by the server for good, or larger than a client takes; what the server put on a stream of
            rejected ones counts here too.
        dropped: given up by the policy for a full queue, or handed over after close.
        recovered: of `accepted`, those found in the spool, left by another process.
        batches: requests that were acknowledged.
        retries: tries after the first.
        connections: open ones that send.
        spool_bytes: in the files of the spool, of those that were found there as well.
        corrupt_bytes: of the spool, unreadable and moved aside.
        spool_errors: writes or syncs of the spool that failed.
        last_error: why the last retry, rejection or failure of the spool.
    """

    accepted: int
    delivered: int
    pending: int
    rejected: int
    dropped: int
    recovered: int
    batches: int
    retries: int
    connections: int
    spool_bytes: int
    corrupt_bytes: int
    spool_errors: int
    last_error: str


@dataclass(slots=True)
class SpoolStats:
    """The part of the account that a spool keeps."""

    corrupt_bytes: int = 0
    errors: int = 0
    last_error: str = ""
