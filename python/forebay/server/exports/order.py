"""What is exported, how far that is, and what became of it: the shapes that are stored."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from forebay.embedded.conditions import Conditions, Reading
from forebay.server.exports.formats import KINDS, Format

if TYPE_CHECKING:
    from forebay.server.http.auth import Principal

ID_BYTES = 16
"""Random bytes of an id: nobody guesses one."""

ID_PREFIX = "export_logs_"


def new_id() -> str:
    """An id that nobody can guess, and that is a file's name everywhere."""
    return ID_PREFIX + secrets.token_hex(ID_BYTES)


class Order(msgspec.Struct, frozen=True):
    """What is asked for: the payload of the job.

    Attributes:
        begin: where it begins, and where the log ended when it was asked for: what comes later is not part of it.
        owner: tells the token that asked from others; its digest again digested, since operators are shown payloads.
        asked: microseconds since 1970 UTC.
    """

    export_id: str
    format: Format
    conditions: Conditions
    begin: Reading
    owner: str
    owner_name: str
    asked: int

    @property
    def file_name(self) -> str:
        return f"{self.export_id}.{KINDS[self.format].extension}"

    def is_seen_by(self, principal: Principal, owner: str) -> bool:
        """True when a token may know of it: one for all projects of every export, one that is limited of those that it
        asked for itself while it had no more projects than now."""
        if principal.projects is None:
            return True
        asked_for = self.conditions.projects
        return owner == self.owner and asked_for is not None and set(asked_for) <= set(principal.project_names)

    def fraction(self, following: list[int]) -> float:
        """How much of the log up to its end was read when these are the next offsets."""
        all_of_it = sum(self.begin.end) - sum(self.begin.next)
        read = sum(following) - sum(self.begin.next)
        return min(1.0, read / all_of_it) if all_of_it > 0 else 1.0


class Progress(msgspec.Struct):
    """How far an export is: what its file has on the disk, and where it goes on.

    Attributes:
        bytes: the length of the file that is synced.
        records: the events in it.
        expired: events that retention deleted before they were read, whether they would have matched or not.
        lost: events that are damaged or lost, so that nobody knows whether they match.
        next: the next offset of each partition.
    """

    bytes: int
    records: int
    expired: int
    lost: int
    next: list[int]


class Finished(msgspec.Struct, frozen=True):
    """A file that is whole, as it stands beside the file. Times are microseconds since 1970 UTC."""

    order: Order
    job_id: str
    bytes: int
    records: int
    expired: int
    lost: int
    finished: int
    expires: int
