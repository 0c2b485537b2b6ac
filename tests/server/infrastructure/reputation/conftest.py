"""A name server for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.dns_server import DnsServer


@pytest.fixture
def name_server() -> Iterator[DnsServer]:
    server = DnsServer()
    yield server
    server.close()
