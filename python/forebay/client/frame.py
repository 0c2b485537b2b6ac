"""The bytes of a spool's files.

A segment file is `MAGIC` and then frames, little-endian:

    u8 mark (0xFB)   u8 kind   u32 length of the payload   u32 batch   u32 CRC-32   payload

The CRC is that of the payload, begun with batch, kind and length, so that it holds for them as well. Kind 1 opens a
batch, its payload is the lane's name; kind 2 is an event of a batch, its payload the JSON. 0xFB never occurs in UTF-8:
after damage the next frame is found by looking for it.

A ledger file is entries of 13 bytes: u8 kind, u32 batch, u16 start, u16 end, u32 CRC-32 of what is before. Kind 1: the
events from start to end of the batch are settled. Kind 2: the batch is split at start.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

FAMILY = b"FBSPOOL"
MAGIC = FAMILY + b"1"
"""The last byte is the version."""

MARK = 0xFB
OPEN = 1
EVENT = 2
SETTLED = 1
CUT = 2

_HEAD = struct.Struct("<BBIII")
HEAD_BYTES = _HEAD.size
_pack_head = _HEAD.pack
_crc32 = zlib.crc32

_ENTRY = struct.Struct("<BIHH")
_SUM = struct.Struct("<I")
ENTRY_BYTES = _ENTRY.size + _SUM.size

MAX_PAYLOAD = 64 << 20
"""A length beyond it is damage."""


def pack(kind: int, batch: int, payload: bytes) -> bytes:
    length = len(payload)
    crc = _crc32(payload, (batch * 0x9E3779B1 ^ length * 4 ^ kind) & 0xFFFFFFFF)
    return _pack_head(MARK, kind, length, batch, crc) + payload


@dataclass(frozen=True, slots=True)
class Frame:
    kind: int
    batch: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no frame."""

    start: int
    end: int


def scan(text: bytes | memoryview, start: int = 0) -> Iterator[Frame | Damage]:
    """Every whole frame from `start` on, and the bytes between them: together they are all of it."""
    text = bytes(text)
    at = bad = start
    while at < len(text):
        found = _frame(text, at)
        if found is None:
            at = text.find(MARK, at + 1)
            if at < 0:
                break
            continue
        if bad < at:
            yield Damage(bad, at)
        yield found
        at = bad = found.end
    if bad < len(text):
        yield Damage(bad, len(text))


def _frame(text: bytes, at: int) -> Frame | None:
    if len(text) - at < HEAD_BYTES:
        return None
    mark, kind, length, batch, crc = _HEAD.unpack_from(text, at)
    end = at + HEAD_BYTES + length
    if mark != MARK or kind not in (OPEN, EVENT) or length > MAX_PAYLOAD or end > len(text):
        return None
    payload = memoryview(text)[at + HEAD_BYTES : end]
    if _crc32(payload, (batch * 0x9E3779B1 ^ length * 4 ^ kind) & 0xFFFFFFFF) != crc:
        return None
    return Frame(kind, batch, at, end)


def pack_entry(kind: int, batch: int, start: int, end: int) -> bytes:
    entry = _ENTRY.pack(kind, batch, start, end)
    return entry + _SUM.pack(_crc32(entry))


def scan_entries(text: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Every whole entry: kind, batch, start, end. Damaged ones are passed over: what they settled is sent again under
    its key."""
    for at in range(0, len(text) - ENTRY_BYTES + 1, ENTRY_BYTES):
        entry = text[at : at + _ENTRY.size]
        if _SUM.unpack_from(text, at + _ENTRY.size)[0] == _crc32(entry):
            yield _ENTRY.unpack(entry)
