"""Which part of a file a request asks for (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from typing import NamedTuple

from forebay.server.http.rsgi import Headers

_RANGE = re.compile(r"[Bb][Yy][Tt][Ee][Ss]=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.ASCII)
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')

MAX_DIGITS = 19
"""More digits are beyond the end of every file; a number of 64 KiB would take long to read."""


class Part(NamedTuple):
    """The bytes from `start` up to but not including `end`."""

    start: int
    end: int


class NotModified(NamedTuple):
    """The client has it already."""


class Unsatisfiable(NamedTuple):
    """Nothing of what is asked for is there."""


Wanted = Part | NotModified | Unsatisfiable | None


def wanted(headers: Headers, tag: str, length: int, *, has_parts: bool = True) -> Wanted:
    """What a request asks for of a file of that length, whose strong entity tag is `tag`, in quotation marks; None for
    all of it. As RFC 9110 allows, a header that cannot be read, several ranges and those of other units ask for all.
    `has_parts` is False for any method but GET, which alone asks for ranges."""
    known = headers.get("if-none-match")
    if known is not None and (known.strip() == "*" or tag in _TAG.findall(known)):
        return NotModified()
    asked = headers.get("range") if has_parts else None
    found = None if asked is None else _RANGE.fullmatch(asked.strip())
    if found is None:
        return None
    if_range = headers.get("if-range")
    # A date would be a weaker promise than the tag, and a weak tag is none.
    if if_range is not None and if_range.strip() != tag:
        return None
    return _part(found[1], found[2], length)


def _part(first: str, last: str, length: int) -> Wanted:
    if not first:
        if not last:
            return None
        count = _number(last)
        return Part(max(0, length - count), length) if count and length else Unsatisfiable()
    start = _number(first)
    end = length if not last else _number(last) + 1
    if end <= start and last:
        # The last one is before the first: no range at all.
        return None
    return Part(start, min(end, length)) if start < length else Unsatisfiable()


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= MAX_DIGITS else 10**MAX_DIGITS
