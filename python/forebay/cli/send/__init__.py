"""Sending NDJSON to a server: what `forebay send` is made of."""

from forebay.cli.send.batches import Batch, Line, Reader, Rejection
from forebay.cli.send.connection import DrainConnection, Refused, drain_of
from forebay.cli.send.follow import FileFollower
from forebay.cli.send.run import FileSender, Outcome

__all__ = [
    "Batch",
    "DrainConnection",
    "FileFollower",
    "FileSender",
    "Line",
    "Outcome",
    "Reader",
    "Refused",
    "Rejection",
    "drain_of",
]
