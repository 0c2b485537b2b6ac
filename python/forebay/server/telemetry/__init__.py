"""Collectors of `/metrics` beside the engine's own counters."""

from forebay.server.telemetry.build import BuildCollector
from forebay.server.telemetry.cache import PublisherCollector, ReaderCollector
from forebay.server.telemetry.disk import DiskCollector
from forebay.server.telemetry.groups import MAX_GROUP_LABELS, GroupCollector
from forebay.server.telemetry.labels import OTHERS
from forebay.server.telemetry.processors import MAX_PROCESSOR_LABELS, ProcessorCollector
from forebay.server.telemetry.streams import MAX_STREAM_LABELS, StreamCollector

__all__ = [
    "MAX_GROUP_LABELS",
    "MAX_PROCESSOR_LABELS",
    "MAX_STREAM_LABELS",
    "OTHERS",
    "BuildCollector",
    "DiskCollector",
    "GroupCollector",
    "ProcessorCollector",
    "PublisherCollector",
    "ReaderCollector",
    "StreamCollector",
]
