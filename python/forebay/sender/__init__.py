"""Sending NDJSON to a server: what `forebay send` is made of."""

from forebay.sender.batches import Batch, Line, Reader, Rejection
from forebay.sender.delivery import Delivery, Gone, Refused, drain_of
from forebay.sender.follow import Following
from forebay.sender.run import Outcome, Sending

__all__ = [
    "Batch",
    "Delivery",
    "Following",
    "Gone",
    "Line",
    "Outcome",
    "Reader",
    "Refused",
    "Rejection",
    "Sending",
    "drain_of",
]
