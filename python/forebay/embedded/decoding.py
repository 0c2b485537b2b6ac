"""Decodes the values of records."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from forebay.errors import Malformed

MAX_INTEGER_DIGITS = 100_000
"""Most digits of a whole number that becomes an `int`. The conversion takes more than linear time: some milliseconds
for so many digits, and seconds for as many as a record may hold."""


def decode(value: bytes) -> Any:
    """The value as `json.loads` returns it. A number beyond float64 is infinite; a whole number is an `int` of up to
    `MAX_INTEGER_DIGITS` digits, whatever `sys.get_int_max_str_digits()` says.

    Raises:
        Malformed: the value is not JSON, or Python cannot hold it. Other values are not affected.
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
    """Converts each half of the digits by itself, so that no part exceeds the interpreter's limit."""
    if len(digits) <= sys.int_info.str_digits_check_threshold:
        return int(digits)
    low = len(digits) // 2
    power: int = 10**low
    return _joined(digits[:-low]) * power + _joined(digits[-low:])
