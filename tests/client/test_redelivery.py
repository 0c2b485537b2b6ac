"""A spool's redelivery after the server had stored it: once within the stream's window, at least once beyond it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from client.test_spool import NOBODY
from client.test_storm import stored
from forebay.client import Client
from support.dedup_windows import choose, window_passes
from support.harness import RunningServer

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]

EVENTS = 250


def test_a_redelivery_within_the_streams_window_stores_nothing_twice(server: Start, tmp_path: Path) -> None:
    running = server(dedup_window_seconds=1)
    choose(running, "logs", "24h")
    spool = tmp_path / "spool"
    client = Client(NOBODY, spool=spool, batch_events=100)
    for number in range(EVENTS):
        client.log(f"log {number}")
        client.track("view", user=f"track {number}")
    assert client.close(0) == 2 * EVENTS
    kept = {path: path.read_bytes() for path in spool.rglob("*") if path.is_file()}

    def deliver() -> None:
        with Client(running.url, spool=spool) as client:
            assert client.flush() == 0
            assert client.stats().delivered == 2 * EVENTS

    deliver()
    window_passes(running)
    running.kill()
    running = server(dedup_window_seconds=1)
    # A power failure may forget that batches were settled.
    for path, text in kept.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text)
    deliver()
    assert stored(running) == {f"log {number}": 1 for number in range(EVENTS)}
    # Its keys are kept for as long as the server says, which is over.
    assert stored(running, "analytics") == {f"track {number}": 2 for number in range(EVENTS)}
