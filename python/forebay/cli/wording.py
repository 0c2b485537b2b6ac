"""Numbers and ranges as every command says them."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 record`, `2,500 records`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def offsets(start: int, end: int) -> str:
    """The offsets from `start` up to but not including `end`, by the first and the last: `offsets 5 to 9`."""
    if end - start == 1:
        return f"offset {start}"
    return f"offsets {start} to {end - 1}"
