"""SIGKILL while a sender repeats keyed batches and members of a group consume and commit: no committed offset is lost,
and no record is skipped or stored twice."""

from __future__ import annotations

import functools
import os
import random
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.harness import ANSWER_SECONDS, RunningServer, wait_for

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("FOREBAY_CONSUMER_KILLS", "6"))
PARTITIONS = 4
BATCH = 20
MEMBERS = ("first", "second", "third")
GROUP, STREAM = "readers", "orders"
PATIENCE = 600.0


class Ledger:
    """Keeps the answers where they were received, outside of the server, so that they outlive it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.published: dict[tuple[int, int], int] = {}
        self.seen: dict[tuple[int, int], int] = {}
        self.committed = dict.fromkeys(range(PARTITIONS), 0)
        self.stop = threading.Event()
        self.url = ""
        self.failures: list[str] = []

    def note(self, failure: str) -> None:
        with self.lock:
            self.failures.append(failure)

    def call(self, client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response | None:
        """None when the server went away, or is not there yet."""
        try:
            answer = client.request(method, f"{self.url}/api/v1{path}", **more)
        except httpx.TransportError:
            return None
        if answer.status_code >= 500 and answer.status_code != 503:
            self.note(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer


def publish(ledger: Ledger) -> None:
    number = 0
    with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
        while not ledger.stop.is_set():
            values = range(number, number + BATCH)
            events = [{"key": f"k{value % 50}", "value": value} for value in values]
            path, key = f"/streams/{STREAM}/events/batch", {"Idempotency-Key": f"batch {number}"}
            answer = ledger.call(client, "POST", path, json={"events": events}, headers=key)
            if answer is None or answer.status_code != 200:
                # Nobody knows what became of these numbers: the same key finds it out.
                ledger.stop.wait(0.01)
                continue
            number += BATCH
            with ledger.lock:
                for value, result in zip(values, answer.json()["results"], strict=True):
                    ledger.published[result["partition"], result["offset"]] = value


def consume(ledger: Ledger, member: str) -> None:
    query: dict[str, str | int] = {"consumerGroup": GROUP, "memberId": member, "limit": 100, "timeout": 100}
    with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
        while not ledger.stop.is_set():
            answer = ledger.call(client, "GET", f"/streams/{STREAM}/events", params=query)
            if answer is None or answer.status_code != 200:
                ledger.stop.wait(0.01)
                continue
            take_in(ledger, answer.json())
            commit(ledger, client, member, answer.json()["metadata"]["nextOffsets"])


def take_in(ledger: Ledger, answer: dict[str, Any]) -> None:
    following: dict[int, int] = {}
    with ledger.lock:
        for event in answer["events"]:
            place = event["partition"], event["offset"]
            if ledger.seen.setdefault(place, event["value"]) != event["value"]:
                ledger.failures.append(f"{place} held {ledger.seen[place]}, then {event['value']}")
            first = place[0] not in following
            # Members come and go: what is read begins at or before what the group has committed, never behind it.
            if first and place[1] > 0 and (place[0], place[1] - 1) not in ledger.seen:
                ledger.failures.append(f"reading goes on at {place}, and nobody has read what is before it")
            if not first and place[1] != following[place[0]]:
                ledger.failures.append(f"{place} came where {following[place[0]]} was next")
            following[place[0]] = place[1] + 1


def commit(ledger: Ledger, client: httpx.Client, member: str, following: dict[str, int]) -> None:
    if not following:
        return
    body = {"offsets": places(following), "memberId": member}
    answer = ledger.call(client, "POST", f"/consumers/{GROUP}/commit", json=body)
    if answer is not None and answer.status_code == 200:
        with ledger.lock:
            for at, offset in following.items():
                ledger.committed[int(at)] = max(ledger.committed[int(at)], offset)


def places(following: dict[str, int]) -> list[dict[str, object]]:
    return [{"stream": STREAM, "partition": int(at), "offset": offset} for at, offset in following.items()]


def has_seen(ledger: Ledger, records: int) -> bool:
    return len(ledger.seen) >= records


def committed_by_the_server(ledger: Ledger) -> dict[int, int]:
    group = (
        httpx.get(f"{ledger.url}/api/v1/consumers/{GROUP}", timeout=ANSWER_SECONDS, trust_env=False)
        .raise_for_status()
        .json()
    )
    return {row["partition"]: row["offset"] for row in group["offsets"]}


def test_kills_lose_no_committed_offset_and_skip_no_record(tmp_path: Path) -> None:
    ledger = Ledger()
    server = RunningServer(tmp_path / "data", ring_bytes=8 << 20, journal_file_bytes=1 << 20).start()
    ledger.url = server.url
    httpx.post(f"{server.url}/api/v1/streams", json={"name": STREAM, "partitions": PARTITIONS}).raise_for_status()
    workers = [threading.Thread(target=publish, args=(ledger,))]
    workers += [threading.Thread(target=consume, args=(ledger, member)) for member in MEMBERS]
    try:
        for worker in workers:
            worker.start()
        for _ in range(KILLS):
            before = len(ledger.seen)
            progress = functools.partial(has_seen, ledger, before + random.randrange(500, 3000))
            wait_for("progress between two kills", progress, PATIENCE)
            with ledger.lock:
                acknowledged = dict(ledger.committed)
            server.kill()
            server.start()
            ledger.url = server.url
            told = committed_by_the_server(ledger)
            lost = {at: offset for at, offset in acknowledged.items() if told.get(at, 0) < offset}
            assert not lost, f"acknowledged {acknowledged}, the server has {told}"
    finally:
        ledger.stop.set()
        for worker in workers:
            worker.join()
    check_the_end(ledger)
    server.stop()


def check_the_end(ledger: Ledger) -> None:
    """A reader of its own reads everything: every acknowledged record is there, as it was sent."""
    with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
        query: dict[str, str | int] = {"consumerGroup": "audit", "limit": 10_000, "timeout": 0}
        seen: dict[tuple[int, int], int] = {}
        while True:
            answer = client.get(f"{ledger.url}/api/v1/streams/{STREAM}/events", params=query).raise_for_status().json()
            seen |= {(event["partition"], event["offset"]): event["value"] for event in answer["events"]}
            body = {"offsets": places(answer["metadata"]["nextOffsets"])}
            client.post(f"{ledger.url}/api/v1/consumers/audit/commit", json=body).raise_for_status()
            if not answer["events"]:
                break
    assert not ledger.failures, ledger.failures[:5]
    missing = {place: value for place, value in ledger.published.items() if seen.get(place) != value}
    assert not missing, f"{len(missing)} acknowledged records are missing or changed: {list(missing.items())[:3]}"
    assert all(seen[place] == value for place, value in ledger.seen.items())
    assert len(set(seen.values())) == len(seen), "a repeated batch was stored twice"
    sent = max(ledger.published.values()) + 1
    assert set(range(sent)) == {value for value in seen.values() if value < sent}, "a batch was left out"
    for partition, offset in ledger.committed.items():
        assert all((partition, at) in ledger.seen for at in range(offset)), f"partition {partition} has a gap"
