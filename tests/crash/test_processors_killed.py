"""SIGKILL while processors with functions, windows and copies read what a sender repeats: results are those of the
records that are there, each once."""

from __future__ import annotations

import functools
import os
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.harness import ANSWER_SECONDS, RunningServer, wait_for

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("FOREBAY_PROCESSOR_KILLS", "5"))
PARTITIONS = 2
BATCH = 50
USERS = 7
WINDOW_MS = 1_000
SOURCE = "transactions"
PATIENCE = 600.0
HOUR_MS = 3_600_000

MODULE = """
import forebay

@forebay.function("double")
def double(values):
    return [{**value, "amount": 2 * value["amount"]} for value in values]
"""

# Nothing is late, and no window closes before the last record says so: then the reference needs no order of arrival.
CONFIG = {"checkpointInterval": 50, "allowedLateness": HOUR_MS, "idleTimeout": 24 * HOUR_MS}
MAP = {"type": "map", "function": "double"}
COUNTED = {
    "name": "counted",
    "source": SOURCE,
    "sink": "counts",
    "config": CONFIG,
    "operations": [
        {"type": "filter", "predicate": "value.amount > 300"},
        MAP,
        {"type": "window", "windowType": "tumbling", "duration": WINDOW_MS},
        {"type": "aggregate", "aggregations": [{"aggregation": "count"}, {"aggregation": "sum", "field": "amount"}]}
        | {"groupBy": "userId"},
    ],
}
COPIED = {"name": "copied", "source": SOURCE, "sink": "copies", "config": CONFIG, "operations": [MAP]}


def event(number: int, millis: int) -> dict[str, Any]:
    value = {"userId": f"u{number % USERS}", "amount": number % 1000, "number": number}
    stamp = f"2025-01-15T{10 + millis // HOUR_MS:02}:{millis // 60_000 % 60:02}:{millis // 1000 % 60:02}"
    return {"key": f"k{number % 50}", "value": value, "timestamp": f"{stamp}.{millis % 1000:03}Z"}


class Sender(threading.Thread):
    """Sends batch after batch, each until it is acknowledged."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.done = threading.Event()
        self.acknowledged = 0

    def run(self) -> None:
        with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
            while not self.done.is_set():
                first = self.acknowledged
                events = [event(number, number) for number in range(first, first + BATCH)]
                try:
                    answer = client.post(
                        f"{self.url}/api/v1/streams/{SOURCE}/events/batch",
                        json={"events": events},
                        headers={"Idempotency-Key": f"batch {first}"},
                    )
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code == 200:
                    self.acknowledged = first + BATCH
                else:
                    self.done.wait(0.01)


def everything(server: RunningServer, stream: str) -> list[dict[str, Any]]:
    """The values of all records, by partition and offset."""
    query: dict[str, str | int] = {
        "consumerGroup": f"audit-{stream}",
        "limit": 10_000,
        "timeout": 0,
        "autoCommit": "true",
    }
    found: dict[tuple[int, int], dict[str, Any]] = {}
    with server.client() as client:
        while True:
            answer = client.get(f"/api/v1/streams/{stream}/events", params=query).raise_for_status().json()
            if not answer["events"]:
                return [found[place] for place in sorted(found)]
            found |= {(each["partition"], each["offset"]): each["value"] for each in answer["events"]}


def has_read_everything(server: RunningServer, name: str) -> bool:
    with server.client() as client:
        described: dict[str, Any] = client.get(f"/api/v1/processors/{name}").json()
    assert described["status"] == "running", described
    return bool(described["metrics"]["lag"] == 0)


def test_kills_change_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "doubling.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = {"ring_bytes": 8 << 20, "journal_file_bytes": 1 << 20, "function_workers": 1}
    server = RunningServer(tmp_path / "data", functions=["doubling"], **options).start()
    server.post("/api/v1/streams", {"name": SOURCE, "partitions": PARTITIONS}).raise_for_status()
    for definition in (COUNTED, COPIED):
        server.post("/api/v1/processors", definition).raise_for_status()
    sender = Sender(server.url)
    sender.start()
    try:
        for _ in range(KILLS):
            enough = sender.acknowledged + random.randrange(500, 2500)
            wait_for("progress between two kills", functools.partial(has_sent, sender, enough), PATIENCE)
            server.kill()
            server.start()
            sender.url = server.url
    finally:
        sender.done.set()
        sender.join()
    # A last record for each partition, behind which everything is closed.
    for partition in range(PARTITIONS):
        last = {**event(0, 3 * HOUR_MS), "partition": partition}
        server.post(f"/api/v1/streams/{SOURCE}/events/batch", {"events": [last]}).raise_for_status()
    for name in ("counted", "copied"):
        wait_for(f"{name} to have read everything", functools.partial(has_read_everything, server, name), PATIENCE)
    source = everything(server, SOURCE)
    sent = sorted(value["number"] for value in source)
    assert sent[PARTITIONS:] == list(range(len(source) - PARTITIONS)), "a batch was stored twice, or not at all"
    assert Counter(value["number"] for value in everything(server, "copies")) == Counter(sent)
    check_counts(everything(server, "counts"), source)
    server.stop()


def has_sent(sender: Sender, events: int) -> bool:
    return sender.acknowledged >= events


def check_counts(results: list[dict[str, Any]], source: list[dict[str, Any]]) -> None:
    """Numbers are milliseconds of event time, but for those of the last records, which stay open."""
    numbers = sorted({value["number"] for value in source})
    wanted: Counter[tuple[int, str]] = Counter()
    sums: Counter[tuple[int, str]] = Counter()
    for number in numbers:
        if number % 1000 > 300:
            place = number // WINDOW_MS, f"u{number % USERS}"
            wanted[place] += 1
            sums[place] += 2 * (number % 1000)
    found = [(second_of(result["windowStart"]), result["key"]) for result in results]
    assert len(set(found)) == len(found), "a result is there twice"
    assert dict(zip(found, (result["count"] for result in results), strict=True)) == dict(wanted)
    assert dict(zip(found, (result["sum_amount"] for result in results), strict=True)) == dict(sums)


def second_of(time: str) -> int:
    hours, minutes, seconds = time[11:19].split(":")
    return (int(hours) - 10) * 3600 + int(minutes) * 60 + int(seconds)
