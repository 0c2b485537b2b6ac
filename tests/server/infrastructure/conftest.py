"""Servers that probes talk to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.talker import Talk, Talker


@pytest.fixture
def talker() -> Iterator[Callable[[Talk | None], Talker]]:
    """Starts servers: `talker(talk)`; `None` is one that says nothing. All are closed after the test."""
    started: list[Talker] = []

    def start(talk: Talk | None) -> Talker:
        server = Talker(talk or (lambda connection: server.silent(connection)))
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()
