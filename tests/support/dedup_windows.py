"""Windows of idempotency keys: choosing one, and waiting for one to pass."""

from __future__ import annotations

from support.harness import RunningServer, wait_for

STREAMS = "/api/v1/streams"


def choose(server: RunningServer, stream: str, window: str) -> None:
    with server.client() as http:
        answer = http.patch(f"{STREAMS}/{stream}", json={"config": {"dedupWindow": window}})
    assert (answer.status_code, answer.json()["config"]["dedupWindow"]) == (200, window)


def window_passes(server: RunningServer) -> None:
    """Returns when keys of streams that keep them for as long as the server says are forgotten."""
    with server.client() as http:
        http.post(STREAMS, json={"name": "marks"})

    def marks() -> int:
        answer = server.post(f"{STREAMS}/marks/events", {"value": 1}, **{"Idempotency-Key": "mark"})
        assert answer.status_code == 201
        return len(server.records("marks"))

    before = marks()
    wait_for("the window to pass", lambda: marks() > before)
