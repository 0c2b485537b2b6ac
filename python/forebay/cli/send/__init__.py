"""Sending NDJSON to a server: what `forebay send` is made of."""

from forebay.cli.send.batches import Batch, Line, Reader, Rejection
from forebay.cli.send.delivery import Delivery, Gone, Refused, drain_of
from forebay.cli.send.follow import Following
from forebay.cli.send.run import Outcome, Sending

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
