"""Raw write + fdatasync, beside which an acknowledgement's latency is to be read."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

#: Enough for a p99 that is not one single write.
WRITES = 300


@dataclass(frozen=True)
class SyncLatency:
    size: int
    p50_ms: float
    p99_ms: float


def probe(directory: Path, size: int) -> SyncLatency:
    """Appends ``WRITES`` times ``size`` bytes to a growing file, each followed by fdatasync."""
    piece = os.urandom(size)
    taken = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(WRITES):
            start = time.perf_counter()
            file.write(piece)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - start) * 1e3)
    taken.sort()
    return SyncLatency(size, taken[WRITES // 2], taken[WRITES * 99 // 100])
