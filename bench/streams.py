"""Measures streams: publishing, consuming, end to end, in-process; with --kafka also Kafka's own tools, in one run.

Usage:

    python bench/streams.py [--kafka] [--rounds N] [--seconds S] [--no-append]

See README.md for the method.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness import load, machine, report
from harness.cache import BENCH, Cache
from harness.comparison import say
from harness.end_to_end import end_to_end
from harness.forebay import Forebay
from harness.process import Cores, free_port
from harness.runs import ALL, Conditions, Row
from harness.server import Launch, fresh
from peers.kafka_producer import streams as kafka_tools
from peers.kafka_producer.peer import TOPIC, KafkaProducer

STREAM = "bench"
PARTITIONS = 4
RATES = (1_000, 10_000, 100_000)
#: Published before anything is consumed: several journal files, so that the beginning is sealed and the end is not.
FILLED_S = 4.0
FETCH = 1000
FETCH_CONNECTIONS = 4
KAFKA_SINGLE_RECORDS = 5_000


@dataclass
class Figures:
    """Best of the rounds, by what was measured: the rate, CPU seconds per million, p50 and p99 in ms; 0 for none."""

    rows: dict[str, list[tuple[float, float, float, float]]] = field(default_factory=dict)

    def add(self, what: str, rate: float, cpu: float, p50: float = 0.0, p99: float = 0.0) -> None:
        self.rows.setdefault(what, []).append((rate, cpu, p50, p99))
        say(f"  {what}: {rate:,.0f}/s, {cpu:.2f} CPU s/M, p50 {p50:.2f}, p99 {p99:.2f} ms")

    def best(self) -> Iterator[Row]:
        for what, rounds in self.rows.items():
            rates, cpus, p50s, p99s = zip(*rounds, strict=True)
            found = {"per_second": max(rates), "cpu": min(cpus), "p50_ms": min(p50s), "p99_ms": min(p99s)}
            yield Row(what, "", {ALL: {name: value for name, value in found.items() if value}})


def call(port: int, method: str, path: str, body: object = None) -> dict[str, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, None if body is None else json.dumps(body))
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path} was answered {answer.status}: {text[:300]!r}")
    decoded = json.loads(text)
    assert isinstance(decoded, dict)
    return decoded


@dataclass(frozen=True)
class Runner:
    """One round of forebay."""

    binary: Path
    launch: Launch
    seconds: float
    figures: Figures

    def load(self, what: str, path: str, content: str, batch: int, connections: int, seconds: float) -> None:
        command = [
            *(str(self.binary), f"http://127.0.0.1:{self.launch.port}{path}", "--json", "--marks"),
            *("--content", content, "--batch", str(batch), "--connections", str(connections)),
            *("--duration", str(seconds), "--warmup", "0.5"),
        ]
        output, cpu = load.run_marked(command, self.launch, seconds + 1)
        found = json.loads(output)
        events = found["acknowledged_events"]
        if not events or set(found["statuses"]) - {"200", "201"}:
            raise RuntimeError(f"{what}: answers were {found['statuses']}")
        latency = found["latency"]
        self.figures.add(what, found["events_per_second"], cpu / events * 1e6, latency["p50_ms"], latency["p99_ms"])

    def publish(self) -> None:
        call(self.launch.port, "POST", "/api/v1/streams", {"name": STREAM, "partitions": PARTITIONS})
        path = f"/api/v1/streams/{STREAM}/events"
        self.load("publish, HTTP, batch 100, 32 conn., fdatasync", f"{path}/batch", "publish-batch", 100, 32, FILLED_S)
        self.load("publish, HTTP, batch 1000, 8 conn.", f"{path}/batch", "publish-batch", 1000, 8, self.seconds)
        self.load("publish, HTTP, single, 128 conn.", path, "publish", 1, 128, self.seconds)

    def consume(self) -> None:
        details = call(self.launch.port, "GET", f"/api/v1/streams/{STREAM}")["partitionDetails"]
        assert isinstance(details, list)
        end = details[0]["endOffset"]
        for what, offset in (("hot (ring)", end - FETCH), ("cold (segments)", 0)):
            query = f"consumerGroup=bench&partition=0&offset={offset}&limit={FETCH}&timeout=0"
            path = f"/api/v1/streams/{STREAM}/events?{query}"
            self.load(f"consume, HTTP, 1000 at a time, {what}", path, "fetch", FETCH, FETCH_CONNECTIONS, self.seconds)

    def latencies(self) -> None:
        for rate in RATES:
            name = f"latency-{rate}"
            call(self.launch.port, "POST", "/api/v1/streams", {"name": name})
            one = end_to_end(self.launch.port, name, rate, self.seconds)
            self.figures.add(
                f"end to end, HTTP, {rate:,} events/s", one.delivered / self.seconds, 0, one.p50_ms, one.p99_ms
            )


def in_process(cache: Cache, cores: Cores, seconds: float, figures: Figures) -> None:
    python = Forebay().command.with_name("python")
    with fresh("in-process", cache, cores) as launch:
        result = subprocess.run(
            [str(python), "-P", str(BENCH / "harness/in_process.py"), str(launch.directory / "data"), str(seconds)],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: os.sched_setaffinity(0, cores.server),
        )
    if result.returncode:
        raise RuntimeError(f"in_process.py failed: {result.stderr[-2000:]}")
    measured = json.loads(result.stdout)
    figures.add("append, in-process, batches of 1000, fdatasync", *measured["append"])
    figures.add("read, in-process, sealed segments, from the disk", *measured["read"])
    figures.add("read, in-process, again, from the page cache", *measured["read_again"])


def kafka(cache: Cache, cores: Cores, seconds: float, figures: Figures) -> None:
    producer = KafkaProducer()
    producer.prepare(cache)
    with fresh("kafka", cache, cores) as launch:
        launch.port = free_port()
        producer.start(launch)
        sent = producer.drive(launch, seconds)
        figures.add(
            "Kafka producer-perf-test, acks=all, page cache",
            *(sent.records_per_second, sent.cpu_s_per_million, sent.p50_ms, sent.p99_ms),
        )
        place, address = producer.broker.place, producer.broker.address
        records = int(producer.expected_per_second * seconds)
        figures.add("Kafka consumer-perf-test", *kafka_tools.consume(launch, place, address, TOPIC, records))
        p50, p99 = kafka_tools.end_to_end(launch, place, address, TOPIC, KAFKA_SINGLE_RECORDS)
        figures.add("Kafka end to end, one record at a time, acks=all, page cache", 0, 0, p50, p99)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", action="store_true", help="Kafka's own tools in the same run")
    parser.add_argument("--rounds", type=int, default=2, help="alternated rounds (2)")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured time of each run (4)")
    parser.add_argument("--no-append", action="store_true", help="keep nothing in runs/")
    options = parser.parse_args()
    cache, cores, binary, figures = Cache.default(), Cores.available(), load.build(), Figures()
    forebay = Forebay()
    forebay.prepare(cache)
    os.sched_setaffinity(0, cores.load)
    conditions = Conditions.now(f"{machine.summary(cache.data)}; {cores}")
    for number in range(options.rounds):
        say(f"round {number + 1}")
        in_process(cache, cores, options.seconds, figures)
        with forebay.running(cache, cores) as launch:
            runner = Runner(binary, launch, options.seconds, figures)
            runner.publish()
            runner.consume()
            runner.latencies()
        if options.kafka:
            kafka(cache, cores, options.seconds, figures)
    report.present([conditions.run("streams", figures.best())], keep=not options.no_append)
    return 0


if __name__ == "__main__":
    sys.exit(main())
