"""The shapes of what verify and repair report."""

from __future__ import annotations

from typing import TypedDict


class OffsetRange(TypedDict):
    """Offsets of one partition, from `start` up to but not including `end`."""

    stream: str
    partition: int
    start: int
    end: int


class Finding(TypedDict):
    """Something that is not what was written, and the offsets whose records it takes away."""

    file: str
    range: tuple[int, int] | None
    """First byte and length."""
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
    """Known to be gone since an earlier repair."""
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
    """Never used, since records that are gone without a trace may have had them."""
    notes: list[str]
    salvaged_records: int
