"""Sending NDJSON to a server: what `forebay send` is made of."""

from forebay.sender.batches import Batch, Line, Reader, Rejection
from forebay.sender.delivery import Delivery, Gone, Refused, Target
from forebay.sender.run import Outcome, Sending

__all__ = [
    "Batch",
    "Delivery",
    "Gone",
    "Line",
    "Outcome",
    "Reader",
    "Refused",
    "Rejection",
    "Sending",
    "Target",
]
