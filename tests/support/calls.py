"""Calls of functions as the engine makes them, and what it reads from answers."""

from __future__ import annotations

import json
import struct
from typing import Any

LENGTH = struct.Struct("<I")


def call(name: str, values: list[Any]) -> bytes:
    """The body of a call. A value that is bytes is the JSON of one."""
    encoded = name.encode()
    array = b",".join(value if isinstance(value, bytes) else json.dumps(value).encode() for value in values)
    return LENGTH.pack(len(encoded)) + encoded + LENGTH.pack(len(values)) + b"[" + array + b"]"


def answered(body: bytes) -> tuple[list[tuple[int, str]], list[Any]]:
    """The failures and the results of an answer."""
    (length,) = LENGTH.unpack_from(body)
    failures = json.loads(body[LENGTH.size : LENGTH.size + length])
    return [(index, text) for index, text in failures], json.loads(body[LENGTH.size + length :])
