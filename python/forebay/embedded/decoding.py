"""Values of records as Python sees them."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from forebay.errors import Malformed

MAX_INTEGER_DIGITS = 100_000
"""Longest whole number that becomes an `int`. The time grows faster than the digits: so many take some milliseconds,
and as many as a record holds at most would take seconds."""


def decode(value: bytes) -> Any:
    """The value, as `json.loads` gives it: a number beyond float64 is infinite, a whole one an `int` of any length up
    to `MAX_INTEGER_DIGITS`, whatever `sys.get_int_max_str_digits()` says.

    Raises:
        Malformed: it is not JSON, or beyond what Python can hold; other values are not touched by that.
    """
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _with_any_number(value)


def _with_any_number(value: bytes) -> Any:
    try:
        return json.loads(value, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the value cannot be decoded: {error}; raw() gives its bytes") from None


def _whole(text: str) -> int:
    digits = text.removeprefix("-")
    if len(digits) > MAX_INTEGER_DIGITS:
        raise ValueError(f"a whole number has {len(digits)} digits, more than {MAX_INTEGER_DIGITS}")
    number = _joined(digits)
    return -number if text.startswith("-") else number


def _joined(digits: str) -> int:
    """Halves are converted on their own, so that no piece meets the interpreter's limit, and the time stays bounded."""
    if len(digits) <= sys.int_info.str_digits_check_threshold:
        return int(digits)
    low = len(digits) // 2
    power: int = 10**low
    return _joined(digits[:-low]) * power + _joined(digits[-low:])
