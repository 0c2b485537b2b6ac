"""What `/metrics` shows beside what the engine itself counts."""

from forebay.telemetry.build import BuildCollector
from forebay.telemetry.disk import DiskCollector
from forebay.telemetry.groups import MAX_GROUP_LABELS, GroupCollector
from forebay.telemetry.labels import OTHERS
from forebay.telemetry.streams import MAX_STREAM_LABELS, StreamCollector

__all__ = [
    "MAX_GROUP_LABELS",
    "MAX_STREAM_LABELS",
    "OTHERS",
    "BuildCollector",
    "DiskCollector",
    "GroupCollector",
    "StreamCollector",
]
