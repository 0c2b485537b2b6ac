"""From publish to consume: events published at a constant rate, and how long after each was due a consumer had it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass

#: Requests a second; each carries its share of the rate, so that a publisher in Python keeps up.
REQUESTS_PER_SECOND = 200
#: Padding of a value up to about the size of a log event.
PADDING = "x" * 200


@dataclass(frozen=True)
class EndToEnd:
    rate: float
    delivered: int
    p50_ms: float
    p99_ms: float


def publish(port: int, stream: str, rate: int, seconds: float) -> int:
    """An open loop: each request is due at its time, which its events carry."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    requests_per_second = min(rate, REQUESTS_PER_SECOND)
    events, count = rate // requests_per_second, int(seconds * requests_per_second)
    started = time.time() + 0.2
    for index in range(count):
        due = started + index / requests_per_second
        time.sleep(max(0.0, due - time.time()))
        event = f'{{"value":{{"due":{due:.6f},"padding":"{PADDING}"}}}}'
        body = '{"events":[' + ",".join([event] * events) + "]}"
        connection.request("POST", f"/api/v1/streams/{stream}/events/batch", body)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"publishing was answered {answer.status}")
    connection.close()
    return count * events


def end_to_end(port: int, stream: str, rate: int, seconds: float) -> EndToEnd:
    """Consumes beside a publisher of its own, each over one connection, until everything has come."""
    published: list[int] = []
    publisher = threading.Thread(target=lambda: published.append(publish(port, stream, rate, seconds)))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
    offset, latencies = 0, []
    deadline = time.monotonic() + seconds + 30
    publisher.start()
    while not published or offset < published[0]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {offset} events came at {rate}/s")
        path = (
            f"/api/v1/streams/{stream}/events?consumerGroup=bench&partition=0&offset={offset}&limit=10000&timeout=500"
        )
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read()
        now = time.time()
        if answer.status != 200:
            raise RuntimeError(f"consuming was answered {answer.status}: {text[:200]!r}")
        events = json.loads(text)["events"]
        latencies += [now - event["value"]["due"] for event in events]
        offset += len(events)
    publisher.join()
    connection.close()
    latencies.sort()
    at = lambda share: latencies[min(int(len(latencies) * share), len(latencies) - 1)] * 1e3  # noqa: E731
    return EndToEnd(rate, len(latencies), at(0.5), at(0.99))
