"""Numbers and ranges as every command says them."""

from __future__ import annotations

SHOWN_CHARACTERS = 400
"""A terminal is shown so much of a text of records."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 record`, `2,500 records`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def begun(text: str) -> str:
    """A text of records in one line, or its beginning. Whoever sent it may have put characters into it that command a
    terminal, so these are escaped."""
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[:SHOWN_CHARACTERS])
    return shown + "…" * (len(text) > SHOWN_CHARACTERS)


def offsets(start: int, end: int) -> str:
    """The offsets from `start` up to but not including `end`, by the first and the last: `offsets 5 to 9`."""
    if end - start == 1:
        return f"offset {start}"
    return f"offsets {start} to {end - 1}"
