"""Whether a port takes connections. Nothing is said and nothing is waited for."""

from __future__ import annotations

from forebay.server.infrastructure.connection import Dialler
from forebay.server.infrastructure.probes.reply import Probe, Reply


def tcp(dialler: Dialler) -> Probe:
    async def probe() -> Reply:
        async with dialler.connected():
            return Reply()

    return probe
