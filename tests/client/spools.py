"""The files of a spool without a client."""

from __future__ import annotations

from pathlib import Path

from forebay.client.queue import Limits
from forebay.client.spool.store import SpoolStore

MIB = 1 << 20


def spool_store(directory: Path, max_bytes: int = MIB) -> SpoolStore:
    return SpoolStore(Limits(1000, MIB, "block", 1.0, 500, MIB, 0.1), directory, max_bytes)
