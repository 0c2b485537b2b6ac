"""Sending NDJSON to a server: what `forebay send` is made of."""

from forebay.sender.batches import Batch, Line, Rejection, read_batches
from forebay.sender.delivery import Delivery, Gone, Refused, Target
from forebay.sender.run import Outcome, Sending

__all__ = [
    "Batch",
    "Delivery",
    "Gone",
    "Line",
    "Outcome",
    "Refused",
    "Rejection",
    "Sending",
    "Target",
    "read_batches",
]
