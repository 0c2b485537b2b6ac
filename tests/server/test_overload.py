"""More than the server can take: refused at once, within bounded memory, and what it acknowledged is kept."""

from __future__ import annotations

import itertools
import re
import selectors
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from support.harness import RunningServer, batch, event, resident_bytes, wait_for

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]

RING_BYTES = 8 << 20
CONNECTIONS = 32
"""Each body is charged twice, once for its records: together as much as the ring, twice what one stream may have of it.
More would only stand in line before the server has read them."""

SECONDS = 4.0
ALLOWED_BYTES = RING_BYTES + (150 << 20)
SAMPLE_SECONDS = 0.02

NAME = b"0000000000"
BODY = batch(
    *(event(f"{place}-{NAME.decode()}") for place in ("first", "last")),
    *(event(f"{index + 1}" * (16 << 10), project=f"p{index}") for index in range(8)),
)
REQUEST = b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
"""A first, a last and filling events; each batch puts its own name in."""

PLACES = [match.start() for match in re.finditer(NAME, REQUEST)]

REFUSAL_P99_SECONDS = 0.25
"""The aim is 20 ms, and the figure is printed; on a busy machine with two cores for both sides it may be more."""


@dataclass
class Sender:
    """One connection that sends its next batch as soon as the last one is answered."""

    connection: socket.socket
    name: int = 0
    began: float = 0.0
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    request: bytearray = field(default_factory=lambda: bytearray(REQUEST))
    received: bytes = b""

    def next(self, name: int) -> None:
        """Begins batch `name`."""
        for place in PLACES:
            self.request[place : place + len(NAME)] = b"%010d" % name
        self.name, self.unsent, self.began = name, memoryview(self.request), time.monotonic()
        self.write()

    def write(self) -> None:
        """Sends what the socket takes now."""
        try:
            self.unsent = self.unsent[self.connection.send(self.unsent) :]
        except BlockingIOError:
            return

    def read(self) -> tuple[int, bytes] | None:
        """Status and answer, once it is whole."""
        got = self.connection.recv(65536)
        assert got, "the server closed a connection"
        self.received += got
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return None
        size = re.search(rb"content-length: (\d+)", head)
        assert size is not None
        if len(body) < int(size[1]):
            return None
        answer, self.received = self.received, b""
        return int(answer.split(b" ", 2)[1]), answer


@dataclass
class Outcome:
    acknowledged: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    refusal_seconds: list[float] = field(default_factory=list)
    most_resident: int = 0


def overload(server: RunningServer, seconds: float) -> Outcome:
    outcome = Outcome()
    names = itertools.count()
    poll = selectors.DefaultSelector()
    for _ in range(CONNECTIONS):
        connection = server.connect()
        connection.setblocking(False)
        sender = Sender(connection)
        sender.next(next(names))
        poll.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, sender)
    sampled, end, waiting = 0.0, time.monotonic() + seconds, CONNECTIONS
    while waiting:
        ready = poll.select(20)
        assert ready, "the server answers nothing any more"
        if (now := time.monotonic()) > sampled + SAMPLE_SECONDS:
            sampled = now
            outcome.most_resident = max(outcome.most_resident, resident_bytes(server.pid))
        for key, events in ready:
            sender = key.data
            if events & selectors.EVENT_WRITE:
                sender.write()
                if not sender.unsent:
                    poll.modify(sender.connection, selectors.EVENT_READ, sender)
            if events & selectors.EVENT_READ and (answered := sender.read()):
                note(outcome, sender, *answered)
                if time.monotonic() < end:
                    sender.next(next(names))
                    poll.modify(sender.connection, selectors.EVENT_READ | selectors.EVENT_WRITE, sender)
                else:
                    poll.unregister(sender.connection)
                    sender.connection.close()
                    waiting -= 1
    return outcome


def note(outcome: Outcome, sender: Sender, status: int, answer: bytes) -> None:
    if status == 202:
        outcome.acknowledged.add(sender.name)
        return
    assert status == 429, answer
    assert b"\r\nretry-after: 1\r\n" in answer
    assert answer.endswith(b'{"error":"server saturated","code":"backpressure_triggered"}')
    assert not sender.unsent, "answered before the body was sent, and the connection was kept"
    outcome.refused.add(sender.name)
    outcome.refusal_seconds.append(time.monotonic() - sender.began)


def stored(server: RunningServer) -> dict[str, list[int]]:
    """The names of the batches whose first and last events are stored."""
    found: dict[str, list[int]] = {"first": [], "last": []}
    for page in server.pages(limit=1000):
        for place, name in re.findall(r'"message": "(first|last)-(\d+)"', page):
            found[place].append(int(name))
    return found


def test_overload_is_refused_at_once_within_memory_and_loses_nothing(server: Start) -> None:
    running = server(ring_bytes=RING_BYTES, journal_file_bytes=1 << 20)
    outcome = overload(running, SECONDS)
    p99 = statistics.quantiles(outcome.refusal_seconds, n=100)[98]
    print(  # noqa: T201 # shown by pytest -s, and when it fails
        f"\n{len(outcome.acknowledged)} acknowledged, {len(outcome.refused)} refused, p99 of the refusals "
        f"{p99 * 1000:.1f} ms, at most {outcome.most_resident >> 20} MiB resident"
    )
    assert len(outcome.refused) > len(outcome.acknowledged) / 2 > 10
    assert p99 < REFUSAL_P99_SECONDS
    assert outcome.most_resident < ALLOWED_BYTES
    # It recovers by itself, and so does a kill.
    wait_for("the end of the saturation", lambda: running.drain(batch()).status_code == 202, 10)
    running.kill()
    running = server(ring_bytes=RING_BYTES, journal_file_bytes=1 << 20)
    found = stored(running)
    for names in found.values():
        assert len(names) == len(set(names))
        assert set(names) == outcome.acknowledged
