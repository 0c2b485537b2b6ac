"""Numbers that JSON does not have."""

from __future__ import annotations

import math

import msgspec


def has_non_finite(value: object) -> bool:
    """True if there is a NaN or an infinity in a value that msgspec can write; it would write null."""
    rest = [msgspec.to_builtins(value)]
    while rest:
        value = rest.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return True
        if isinstance(value, dict):
            rest.extend(value.values())
        elif isinstance(value, list | tuple):
            rest.extend(value)
    return False
