"""What `[[dependency]]` in the configuration says of a service that is to be watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from forebay.errors import ConfigError
from forebay.server.infrastructure.address import Address, Scheme, address_of
from forebay.server.infrastructure.tables import shaped

MAX_DEPENDENCIES = 100
"""Each has one probe under way at most, so that is how many connections they have together."""

OWN_NAMES = ("API Server", "Log", "Cache")
"""Services of this process, which no dependency may be called by."""

Kind = Literal["http", "tcp", "smtp", "redis", "kafka", "postgresql"]

SCHEMES: Mapping[str, Mapping[str, Scheme]] = {
    "http": {"http": Scheme(80, False), "https": Scheme(443, True)},
    "redis": {"redis": Scheme(6379, False), "rediss": Scheme(6379, True)},
    # What it says of TLS is for its client: `?sslmode=`.
    "postgresql": {"postgresql": Scheme(5432, False), "postgres": Scheme(5432, False)},
}
"""By kind, the schemes of its URL. Other kinds have a host and a port."""

DEFAULT_PORTS = {"smtp": 25, "kafka": 9092}


class Dependency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dependency.

    Attributes:
        url: where it is, with user and password where it asks for them; of `http`, `redis` and `postgresql`.
        host: where it is; of the other kinds, with `port`.
        interval_seconds: within which a failure shows.
        timeout_ms: how long an answer may take.
        latency_limit_ms: p95 of its answers beyond which it is degraded.
        error_limit_percent: share of its last probes that failed beyond which it is degraded.
        pool_limit_percent: share of a database's connections beyond which it is degraded.
        queue: a queue of jobs in this log that the service works off; none when it is empty.
        backlog_limit: waiting jobs of it beyond which the service is degraded.
        ca_file: certificates of the authorities that TLS trusts, in PEM; those of the system when it is empty.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    kind: Kind
    url: str = ""
    host: str = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    interval_seconds: Annotated[float, msgspec.Meta(ge=0.2, le=3600)] = 10.0
    timeout_ms: Annotated[int, msgspec.Meta(ge=10, le=60_000)] = 2_000
    latency_limit_ms: Annotated[float, msgspec.Meta(gt=0, le=60_000)] = 500.0
    error_limit_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 5.0
    pool_limit_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 90.0
    queue: str = ""
    backlog_limit: Annotated[int, msgspec.Meta(ge=0)] = 1_000
    ca_file: str = ""

    def __repr__(self) -> str:
        """Without the URL, which may have a password."""
        return f"Dependency({self.name!r}, {self.kind!r})"

    @property
    def pause_seconds(self) -> float:
        """The time between the starts of two probes. A failure that begins right after one has answered is found by the
        next one, after its timeout at the latest: all of that is the interval."""
        return self.interval_seconds - self.timeout_ms / 1000


def dependencies(tables: Sequence[Mapping[str, Any]]) -> list[tuple[Dependency, Address]]:
    """The dependencies of the setting, each with where it is.

    Raises:
        ConfigError: one is wrong, two have one name, or there are too many.
    """
    if len(tables) > MAX_DEPENDENCIES:
        raise ConfigError(f"there are {len(tables)} tables [[dependency]], and at most {MAX_DEPENDENCIES} are watched")
    found: dict[str, tuple[Dependency, Address]] = {}
    for index, table in enumerate(tables):
        place = f"dependency[{index}]"
        dependency = shaped(place, table, Dependency)
        if dependency.name in found:
            raise ConfigError(f"{place}.name: {dependency.name!r} is the name of another one before it")
        if dependency.name in OWN_NAMES:
            raise ConfigError(f"{place}.name: {dependency.name!r} is a service of this server itself")
        if dependency.timeout_ms > dependency.interval_seconds * 500:
            raise ConfigError(f"{place}.timeout_ms is more than half of its interval_seconds")
        if dependency.ca_file and dependency.kind == "postgresql":
            raise ConfigError(
                f"{place}.ca_file: PostgreSQL takes it in the url, as ?sslmode=verify-full&sslrootcert=FILE"
            )
        found[dependency.name] = dependency, _address(place, dependency)
    return list(found.values())


def _address(place: str, dependency: Dependency) -> Address:
    schemes = SCHEMES.get(dependency.kind)
    if schemes is not None:
        if not dependency.url or dependency.host or dependency.port:
            raise ConfigError(f"{place}: the kind {dependency.kind!r} has a url, and neither host nor port")
        return address_of(place, dependency.url, schemes)
    port = dependency.port or DEFAULT_PORTS.get(dependency.kind, 0)
    if dependency.url or not dependency.host or not port:
        raise ConfigError(f"{place}: the kind {dependency.kind!r} has a host and a port, and no url")
    return Address(dependency.host, port)
