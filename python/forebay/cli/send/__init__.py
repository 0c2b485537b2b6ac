"""Sending NDJSON to a server: what `forebay send` is made of."""

from forebay.cli.send.batches import Batch, Line, Reader, Rejection
from forebay.cli.send.delivery import Delivery, drain_of
from forebay.cli.send.follow import FileFollower
from forebay.cli.send.run import FileSender, Outcome

__all__ = [
    "Batch",
    "Delivery",
    "FileFollower",
    "FileSender",
    "Line",
    "Outcome",
    "Reader",
    "Rejection",
    "drain_of",
]
