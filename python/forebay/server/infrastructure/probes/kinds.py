"""The probe of each kind of dependency."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from forebay.server.infrastructure.address import Address
from forebay.server.infrastructure.connection import Dialler, dialler
from forebay.server.infrastructure.dependency import Dependency, Kind
from forebay.server.infrastructure.names import Names
from forebay.server.infrastructure.probes.http import http
from forebay.server.infrastructure.probes.kafka import kafka
from forebay.server.infrastructure.probes.postgresql import postgresql
from forebay.server.infrastructure.probes.redis import redis
from forebay.server.infrastructure.probes.reply import Probe
from forebay.server.infrastructure.probes.smtp import smtp
from forebay.server.infrastructure.probes.tcp import tcp

_OVER_A_CONNECTION: Mapping[Kind, Callable[[Dialler], Probe]] = {
    "http": http,
    "tcp": tcp,
    "smtp": smtp,
    "redis": redis,
    "kafka": kafka,
}


def probe_of(place: str, dependency: Dependency, address: Address, names: Names) -> Probe:
    """What asks the dependency, once a call.

    Raises:
        ConfigError: a package or a file that it needs is missing.
    """
    if dependency.kind == "postgresql":
        return postgresql(place, dependency.url, address, names)
    seconds = dependency.timeout_ms / 1000
    return _OVER_A_CONNECTION[dependency.kind](dialler(place, address, names, dependency.ca_file, seconds))
