"""How long idempotency keys are remembered: each stream's own window, over changes and crashes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.dedup_windows import STREAMS, choose, window_passes
from support.harness import RunningServer, batch, event, wait_for

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]

SHORT = {"dedup_window_seconds": 1}


def drained(server: RunningServer, key: str, body: bytes) -> int:
    return server.drain(body, **{"Idempotency-Key": key}).status_code


def test_a_stream_keeps_its_keys_for_its_own_window(server: Start) -> None:
    running = server(**SHORT)
    choose(running, "logs", "24h")
    tracked = {"event": {"type": "view"}, "user": {"id": "once"}}
    viewed = {"type": "view", "source": "twice", "data": {}}
    # These make the streams.
    assert running.post("/v1/analytics/track", tracked).status_code == 202
    assert running.post("/api/events", viewed).status_code == 200
    choose(running, "analytics", "1h")
    body = batch(event("once"))
    assert drained(running, "k", body) == 202
    for _ in range(2):
        assert running.post("/v1/analytics/track", tracked, **{"Idempotency-Key": "k"}).status_code == 202
        assert running.post("/api/events", viewed, **{"Idempotency-Key": "k"}).status_code == 200
    assert (len(running.records()), len(running.records("analytics")), len(running.records("events"))) == (1, 2, 2)
    window_passes(running)
    running.kill()
    again = server(**SHORT)
    assert drained(again, "k", body) == 202
    assert drained(again, "k", batch(event("another"))) == 422
    assert again.post("/v1/analytics/track", tracked, **{"Idempotency-Key": "k"}).status_code == 202
    assert again.post("/api/events", viewed, **{"Idempotency-Key": "k"}).status_code == 200
    assert (len(again.records()), len(again.records("analytics")), len(again.records("events"))) == (1, 2, 3)
    with again.client() as http:
        assert http.get(f"{STREAMS}/logs").json()["config"]["dedupWindow"] == "24h"


def test_a_stream_may_keep_them_for_less_than_the_server(server: Start) -> None:
    running = server(dedup_window_seconds=600)
    with running.client() as http:
        made = http.post(STREAMS, json={"name": "brief", "config": {"dedupWindow": "1s"}}).json()
    assert made["config"]["dedupWindow"] == "1s"

    def stored_twice() -> bool:
        running.post(f"{STREAMS}/brief/events", {"value": 1}, **{"Idempotency-Key": "k"})
        return len(running.records("brief")) > 1

    assert drained(running, "k", batch(event("once"))) == 202
    wait_for("the window to pass", stored_twice)
    assert drained(running, "k", batch(event("once"))) == 202
    assert len(running.records()) == 1


@pytest.mark.parametrize(("window", "shown"), [("90s", "90s"), ("120s", "2m"), ("60m", "1h"), ("86400s", "24h")])
def test_a_window_is_shown_in_its_largest_unit(shared_server: RunningServer, window: str, shown: str) -> None:
    with shared_server.client() as http:
        http.post(STREAMS, json={"name": "shown"})
        changed = http.patch(f"{STREAMS}/shown", json={"config": {"dedupWindow": window}})
    assert changed.json()["config"]["dedupWindow"] == shown


def test_keys_beyond_the_limit_are_refused_and_nothing_else(server: Start) -> None:
    running = server(max_idempotency_keys=1000)
    with running.client() as http:
        for number in range(1000):
            body, key = batch(event(str(number))), {"Idempotency-Key": f"k{number}"}
            assert http.post("/v1/drain", content=body, headers=key).status_code == 202
    assert drained(running, "more", batch(event("one more"))) == 429
    with running.client() as http:
        http.post(STREAMS, json={"name": "orders"})
    refused = running.post(f"{STREAMS}/orders/events", {"value": 1}, **{"Idempotency-Key": "more"})
    assert refused.status_code == 429
    assert "max_idempotency_keys" in refused.json()["error"]["detail"]
    assert drained(running, "k7", batch(event("7"))) == 202
    assert running.drain(batch(event("without a key"))).status_code == 202
    assert len(running.records()) == 1001
