"""Sending NDJSON to a server: what `forebay send` is made of."""

from forebay.cli.send.batches import Batch, Line, Reader, Rejection
from forebay.cli.send.delivery import Delivery, drain_of
from forebay.cli.send.follow import FileFollower
from forebay.cli.send.rejections import Rejections
from forebay.cli.send.run import FileSender, Outcome
from forebay.cli.send.same_files import same_files

__all__ = [
    "Batch",
    "Delivery",
    "FileFollower",
    "FileSender",
    "Line",
    "Outcome",
    "Reader",
    "Rejection",
    "Rejections",
    "drain_of",
    "same_files",
]
