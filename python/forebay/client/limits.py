"""The bounds of a client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Policy = Literal["block", "drop_newest", "drop_oldest"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much waits, how it is cut into batches, and what gives when there is no room."""

    events: int
    bytes: int
    policy: Policy
    block_seconds: float
    batch_events: int
    batch_bytes: int
    linger_seconds: float
