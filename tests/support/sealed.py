"""Segments of a directory, and what can be done to them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import forebay
from support.harness import wait_for

FILES = 3
RECORDS = 20


def write(directory: Path, partitions: int = 1, stream: str = "orders") -> list[Path]:
    """Makes a stream with `RECORDS` records in each partition of each of `FILES` segments, and returns those."""
    with forebay.open(directory, journal_file_age_seconds=1) as log:
        log.create_stream(stream, partitions=partitions)
        for round_ in range(FILES):
            for partition in range(partitions):
                numbers = range(round_ * RECORDS, (round_ + 1) * RECORDS)
                log.append(stream, [forebay.Record(number) for number in numbers], partition=partition)
            wait_for("sealing", lambda: all(found.ring_bytes == 0 for found in log.streams()))
    segments = sorted((directory / "segments").glob("*.segment"))
    assert len(segments) == FILES
    return segments


def damage(segment: Path) -> None:
    """Changes one bit of the first block's records."""
    content = bytearray(segment.read_bytes())
    content[32 + 64 + 3] ^= 1
    segment.write_bytes(content)


@contextlib.contextmanager
def unreadable(segment: Path) -> Iterator[None]:
    """Puts a directory in the segment's place: it is opened, and reading it fails (EISDIR), for root too."""
    aside = segment.with_suffix(".aside")
    segment.rename(aside)
    segment.mkdir()
    try:
        yield
    finally:
        segment.rmdir()
        aside.rename(segment)
