"""The elements of a JSON array as they stand."""

from __future__ import annotations

import re

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


def elements(array: bytes) -> list[bytes]:
    """The text of each element of an array that is valid JSON. Takes any depth, and texts and numbers that Python
    cannot hold; decoders do not."""
    found: list[bytes] = []
    depth, start = 0, array.index(b"[") + 1
    for token in _TOKEN.finditer(array):
        kind = token[0]
        if kind in (b"[", b"{"):
            depth += 1
        elif kind in (b"]", b"}"):
            depth -= 1
        if (kind == b"," and depth == 1) or depth == 0:
            found.append(array[start : token.start()])
            start = token.end()
        if depth == 0:
            break
    return [] if len(found) == 1 and not found[0].strip() else found
