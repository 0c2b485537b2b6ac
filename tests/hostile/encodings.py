"""Encoded bodies, whole and damaged, and bombs. The zstd frames are put together by hand (RFC 8878, section 3.1.1), so
that no further package is needed."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

BLOCK_BYTES = 128 << 10
"""The largest block of a zstd frame."""

BOMB_BYTES = 64 << 20
"""Four times the default body limit."""


def zstd_frame(*blocks: tuple[int, bytes, int]) -> bytes:
    """A frame of (type, content, size) blocks without a content size; its window is 128 KiB."""
    frame = bytes.fromhex("28b52ffd") + b"\x00" + b"\x38"
    for index, (kind, content, size) in enumerate(blocks):
        header = size << 3 | kind << 1 | (index == len(blocks) - 1)
        frame += header.to_bytes(3, "little") + content
    return frame


def zstd(body: bytes) -> bytes:
    """`body` in raw blocks."""
    pieces = [body[at : at + BLOCK_BYTES] for at in range(0, len(body), BLOCK_BYTES)] or [b""]
    return zstd_frame(*((0, piece, len(piece)) for piece in pieces))


def zstd_bomb() -> bytes:
    """Run-length blocks: four bytes for 128 KiB."""
    return zstd_frame(*((1, b" ", BLOCK_BYTES) for _ in range(BOMB_BYTES // BLOCK_BYTES)))


def gzipped(body: bytes) -> bytes:
    """Compresses as gzip.compress does, which also writes down the time."""
    compressor = zlib.compressobj(wbits=31)
    return compressor.compress(body) + compressor.flush()


ENCODERS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"gzip", gzipped),
    (b"deflate", zlib.compress),
    (b"zstd", zstd),
)

_BOMBS: dict[bytes, bytes] = {}


def bomb(label: bytes) -> bytes:
    """A body of 64 MiB in little. Made once each."""
    if label not in _BOMBS:
        encode = dict(ENCODERS)[label]
        _BOMBS[label] = zstd_bomb() if label == b"zstd" else encode(b" " * BOMB_BYTES)
    return _BOMBS[label]


def damaged(rng: random.Random, body: bytes) -> tuple[str, bytes, bytes, frozenset[int]]:
    """Name, body, its declared encoding, and the statuses that it may have."""
    label, encode = rng.choice(ENCODERS)
    good = encode(body)
    kind = rng.choice(["plain", "other", "cut", "noise", "empty", "twice", "bomb", "nested bomb"])
    if kind == "bomb" and rng.random() < 0.8:
        # They cost a millisecond each to refuse.
        kind = "cut"
    if kind == "plain":
        return f"plain as {label.decode()}", body, label, frozenset({400})
    if kind == "other":
        other, encode_other = rng.choice([pair for pair in ENCODERS if pair[0] != label])
        return f"{other.decode()} as {label.decode()}", encode_other(body), label, frozenset({400})
    if kind == "cut":
        return f"cut {label.decode()}", good[: rng.randrange(len(good))], label, frozenset({400})
    if kind == "noise":
        return f"noise as {label.decode()}", rng.randbytes(rng.randrange(1, 300)), label, frozenset({400})
    if kind == "empty":
        return f"empty {label.decode()}", b"", label, frozenset({400})
    if kind == "twice":
        return f"twice {label.decode()}", encode(good), label, frozenset({400})
    if kind == "bomb":
        return f"bomb {label.decode()}", bomb(label), label, frozenset({413})
    return f"nested bomb {label.decode()}", encode(bomb(label)), label, frozenset({400, 413})
