"""The reports of `verify` and `repair`."""

from __future__ import annotations

from typing import TypedDict


class OffsetRange(TypedDict):
    """Offsets of one partition, from `start` up to but not including `end`."""

    stream: str
    partition: int
    start: int
    end: int


class Finding(TypedDict):
    """Damage in a file, and the offsets whose records are lost by it."""

    file: str
    range: tuple[int, int] | None
    """The first byte and the length."""
    stream: str | None
    what: str
    offsets: list[OffsetRange]


class VerifyReport(TypedDict):
    clean: bool
    streams: int
    partitions: int
    records: int
    files: int
    bytes: int
    findings: list[Finding]
    quarantined: list[OffsetRange]
    """Records that an earlier repair has quarantined."""
    orphans: list[str]


Item = TypedDict(
    "Item",
    {
        "from": str,
        "range": tuple[int, int] | None,
        "to": str,
        "bytes": int,
        "unreadable": list[tuple[int, int]],
        "what": str,
    },
)


class RepairReport(TypedDict):
    findings: list[Finding]
    quarantine: str | None
    items: list[Item]
    lost: list[OffsetRange]
    skipped: list[OffsetRange]
    """Offsets that are never used, since records that were lost without a trace may have had them."""
    notes: list[str]
    salvaged_records: int
