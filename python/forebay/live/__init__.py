"""What `/api/metrics` shows."""

from forebay.live.metrics import LiveMetrics
from forebay.live.shapes import Errors, ErrorsByType, Health, History, Latency, Metrics, System, Throughput

__all__ = [
    "Errors",
    "ErrorsByType",
    "Health",
    "History",
    "Latency",
    "LiveMetrics",
    "Metrics",
    "System",
    "Throughput",
]
