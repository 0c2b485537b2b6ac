"""Kafka's own tools on its own protocol: producing, consuming, and one record at a time from end to end."""

from __future__ import annotations

import re
from pathlib import Path

from harness.log_peer import RECORD_BYTES
from harness.server import Launch
from services.kafka import tool

CONSUMED = re.compile(r"^\d{4}-.*, (?P<records>\d+), (?P<rate>[\d.]+), -?\d+, \d+, [\d.]+, (?P<fetch_rate>[\d.]+)$")
PERCENTILES = re.compile(r"Percentiles: 50th = (?P<p50>\d+), 99th = (?P<p99>\d+)")


def consume(launch: Launch, place: Path, address: str, topic: str, records: int) -> tuple[float, float]:
    """Records a second while fetching, and the broker's CPU seconds per million."""
    before = launch.cpu_seconds()
    text = tool(
        launch,
        place,
        *("org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", address, "--topic", topic),
        *("--num-records", str(records), "--timeout", "30000", "--hide-header"),
    )
    cpu = launch.cpu_seconds() - before
    for line in text.splitlines():
        if found := CONSUMED.match(line):
            return float(found["fetch_rate"]), cpu / float(found["records"]) * 1e6
    raise RuntimeError(f"the consumer printed no figures:\n{text[-2000:]}")


def end_to_end(launch: Launch, place: Path, address: str, topic: str, records: int) -> tuple[float, float]:
    """p50 and p99 in ms of single records, one after the other, acks=all."""
    text = tool(
        launch,
        place,
        *("org.apache.kafka.tools.EndToEndLatency", "--bootstrap-server", address, "--topic", topic),
        *("--num-records", str(records), "--producer-acks", "all", "--record-size", str(RECORD_BYTES)),
    )
    found = PERCENTILES.search(text)
    if not found:
        raise RuntimeError(f"the tool printed no percentiles:\n{text[-2000:]}")
    return float(found["p50"]), float(found["p99"])
