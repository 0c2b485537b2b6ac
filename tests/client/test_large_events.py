"""An event that is larger than a client takes is refused alone, before it is among others."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from client.proxy import accepted, scripted
from client.test_process import messages
from client.test_storm import adds_up
from forebay.client import AsyncClient, Client, Rejection

LIMIT = 5_000
"""Instead of 64 MiB, which no batch of several has: `batch_bytes` is 16 MiB at most."""


@pytest.mark.parametrize("spooled", [False, True])
def test_an_event_that_is_too_large_is_refused_and_its_neighbours_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spooled: bool
) -> None:
    monkeypatch.setattr("forebay.client.queue.MAX_EVENT_BYTES", LIMIT)
    told: list[Rejection] = []
    with scripted(accepted) as server:
        client = Client(
            server.url,
            spool=tmp_path if spooled else None,
            on_rejected=told.append,
            linger_seconds=60,
            batch_bytes=LIMIT,
        )
        assert client.log("a")
        assert client.log("x" * LIMIT) is False
        assert client.log_many(["b", "y" * LIMIT, "c"]) == 3
        assert client.publish("orders", "z" * LIMIT) is False
        assert client.log("d")
        assert adds_up(client.stats())
        assert client.flush() == 0
        stats = client.stats()
        assert (stats.accepted, stats.delivered, stats.rejected, stats.dropped) == (7, 4, 3, 0)
        assert "a client takes at most 5000" in stats.last_error
        assert sorted(messages(server)) == ["a", "b", "c", "d"]
        assert client.close() == 0
    assert [json.loads(row.event or b"").get("message", "")[:1] for row in told] == ["x", "y", ""]
    assert [row.lane for row in told] == ["drain", "drain", "publish:orders"]
    kept = (tmp_path / "rejected.ndjson").read_text().splitlines() if spooled else []
    assert [json.loads(line)["reason"] for line in kept] == [row.reason for row in told if spooled]


def test_it_is_no_different_for_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forebay.client.queue.MAX_EVENT_BYTES", LIMIT)

    async def run(url: str) -> None:
        async with AsyncClient(url, batch_bytes=LIMIT) as client:
            assert await client.log("x" * LIMIT) is False
            assert await client.log_many(["a", "y" * LIMIT]) == 2
            assert await client.flush() == 0
            assert (client.stats().delivered, client.stats().rejected) == (1, 2)

    with scripted(accepted) as server:
        asyncio.run(run(server.url))
