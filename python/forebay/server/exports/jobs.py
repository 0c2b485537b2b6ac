"""The jobs that exports are, as their thread uses them."""

from __future__ import annotations

from typing import Protocol

import msgspec

from forebay.server.exports.order import Order, Progress

QUEUE = "log-export"


class Leased(msgspec.Struct):
    """A job that is this thread's until its lease ends."""

    id: str
    lease: str
    order: Order
    progress: Progress | None = None


class Listed(msgspec.Struct):
    """A job that is not done. `error` is why it failed; None when it waits or is under way."""

    id: str
    order: Order
    progress: Progress | None
    error: str | None


class LeaseLost(Exception):
    """The job is not this thread's any more: its lease has ended, or it was deleted."""


class Jobs(Protocol):
    """The queue. Every call is durable when it returns, and blocks.

    Raises:
        ForebayError: the log cannot be written, or closes.
    """

    def add(self, order: Order) -> str:
        """Lets it wait for its turn; returns the job's id."""

    def take(self) -> Leased | None:
        """The next one, if one waits or the lease of one has ended."""

    def keep(self, leased: Leased, progress: Progress | None) -> bool:
        """Renews the lease and stores the progress. False when the job was cancelled.

        Raises:
            LeaseLost
        """

    def done(self, leased: Leased, result: Progress) -> None:
        """
        Raises:
            LeaseLost
        """

    def failed(self, leased: Leased, why: str) -> None:
        """It is not tried again by itself.

        Raises:
            LeaseLost
        """

    def discard(self, leased: Leased) -> None:
        """Deletes one that nobody wants any more.

        Raises:
            LeaseLost
        """

    def release(self, leased: Leased) -> None:
        """Lets it be taken again at once.

        Raises:
            LeaseLost
        """

    def unfinished(self) -> list[Listed]:
        """Those that wait, are under way or have failed, the oldest first."""

    def exists(self, job_id: str) -> bool:
        """False for one that was deleted."""

    def delete(self, job_id: str) -> None:
        """Deletes it; one that is under way is cancelled, for its thread to discard. Does nothing without it."""
