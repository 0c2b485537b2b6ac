"""The pattern of the times that the engine reads, for the OpenAPI document."""

from __future__ import annotations

_LEAP = "(?:0[48]|[13579][26]|[2468][048])"
"""Multiples of 4 below 100 without 0: the leap years of a century, and the centuries whose first year is a leap
year."""

_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_ZONE = "(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?"


def _time(dash: str, colon: str) -> str:
    days = (
        f"(?:0[13578]|1[02]){dash}(?:0[1-9]|[12][0-9]|3[01])",
        f"(?:0[469]|11){dash}(?:0[1-9]|[12][0-9]|30)",
        f"02{dash}(?:0[1-9]|1[0-9]|2[0-8])",
    )
    leap_day = f"(?:[0-9]{{2}}{_LEAP}|{_LEAP}00){dash}02{dash}29"
    date = f"(?:{_YEAR}{dash}(?:{'|'.join(days)})|{leap_day})"
    seconds = f"(?:{colon}(?:[0-5][0-9]|60)(?:[.,][0-9]{{1,9}})?)?"
    return f"{date}(?:[Tt ](?:[01][0-9]|2[0-3]){colon}[0-5][0-9]{seconds}{_ZONE})?"


TIME = f"{_time('-', ':')}|{_time('', '')}"
"""A time in RFC 3339, ISO 8601 or SQL form, of the years 1 to 9999. A time that its zone moves out of these years
matches, though the engine refuses it."""
