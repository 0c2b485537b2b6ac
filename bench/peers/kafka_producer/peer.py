"""Kafka measured by the tool that comes with it (kafka-producer-perf-test)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from harness.cache import Cache
from harness.log_peer import RECORD_BYTES, LogMeasurement, LogPeer
from harness.process import free_port
from harness.server import Launch
from services.kafka import KafkaBroker, kafka_libraries, tool

TOPIC = "logs"
#: The client's code, too, is compiled while it runs: its rate and latency leave out the first of so many parts.
CLIENT_WARMUP_PART = 4
PRODUCER = ("acks=all", "linger.ms=5", "batch.size=131072", "compression.type=none")
SUMMARY = re.compile(
    r"^\d+ steady state records sent, (?P<rate>[\d.]+) records/sec.*, (?P<p50>\d+) ms 50th, .* (?P<p99>\d+) ms 99th"
)


class KafkaProducer(LogPeer):
    name = "kafka-producer"
    title = "Kafka alone, its own producer, acks=all"
    ack = "page cache"
    topic_settings: Mapping[str, str] = MappingProxyType({})
    #: Sets how many records are sent, since the tool counts records and not seconds.
    expected_per_second = 400_000

    def prepare(self, cache: Cache) -> None:
        kafka_libraries(cache)

    def start(self, launch: Launch) -> None:
        self.broker = KafkaBroker(launch, launch.port, free_port())
        self.broker.start()
        self.broker.create_topic(TOPIC, self.topic_settings)

    def drive(self, launch: Launch, seconds: float) -> LogMeasurement:
        # The broker's code is compiled while it runs; before that it takes several times the CPU.
        self.send(launch, int(self.expected_per_second * seconds / 2))
        os.sync()
        before = launch.cpu_seconds()
        records = int(self.expected_per_second * seconds)
        rate, p50, p99 = self.send(launch, records)
        cpu = launch.cpu_seconds() - before
        return LogMeasurement(rate, p50, p99, cpu / records * 1e6)

    def send(self, launch: Launch, records: int) -> tuple[float, float, float]:
        place: Path = self.broker.place
        arguments = [
            *("org.apache.kafka.tools.ProducerPerformance", "--topic", TOPIC, "--num-records", str(records)),
            *("--record-size", str(RECORD_BYTES), "--throughput", "-1", "--bootstrap-server", self.broker.address),
            *("--warmup-records", str(records // CLIENT_WARMUP_PART), "--command-property", *PRODUCER),
        ]
        text = tool(launch, place, *arguments)
        for line in reversed(text.splitlines()):
            if found := SUMMARY.match(line):
                return float(found["rate"]), float(found["p50"]), float(found["p99"])
        raise RuntimeError(f"the producer printed no summary:\n{text[-2000:]}")


class KafkaProducerFlushed(KafkaProducer):
    name = "kafka-producer-flushed"
    title = "Kafka alone, its own producer, flush.messages=1"
    ack = "fsync"
    topic_settings = MappingProxyType({"flush.messages": "1"})
    expected_per_second = 150_000
