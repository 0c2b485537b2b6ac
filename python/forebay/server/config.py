"""The server's settings: one frozen struct, filled from a TOML file, `FOREBAY_*` and flags, in rising order of rank."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from forebay.embedded.options import (
    ENGINE_RANGES,
    GIB,
    KIB,
    MIB,
    EngineOptions,
    check_ranges,
    converted,
    kinds,
    nearest,
)
from forebay.errors import ConfigError

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]

ENV_PREFIX = "FOREBAY_"

NOT_SETTINGS = frozenset({"FOREBAY_CONFIG", "FOREBAY_URL", "FOREBAY_TOKEN"})
"""Variables that the command line reads itself."""


class Settings(EngineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set. Units are in the names."""

    host: str = "127.0.0.1"
    port: int = 8080
    no_auth: bool = False
    insecure: bool = False
    data_dir: str = "data"
    log: str = "embedded"
    max_reading_bytes: int = 256 * MIB
    max_connections: int = 1024
    max_websockets: int = 1000
    websocket_origins: str = ""
    websocket_ping_seconds: float = 15.0
    body_timeout_seconds: float = 30.0
    ack_timeout_seconds: float = 30.0
    shutdown_timeout_seconds: float = 30.0
    health_interval_seconds: float = 5.0
    health_recovery_seconds: float = 15.0
    health_probe_timeout_ms: int = 2_000
    health_window_seconds: float = 60.0
    health_commit_p99_warning_ms: float = 250.0
    health_commit_p99_critical_ms: float = 2_000.0
    health_storage_probe_warning_ms: float = 1_000.0
    health_seal_backlog_warning_files: int = 8
    health_decode_wait_warning_ms: float = 500.0
    health_decode_wait_critical_ms: float = 5_000.0
    health_ring_warning_percent: float = 70.0
    health_ring_critical_percent: float = 95.0
    health_error_rate_warning_percent: float = 5.0
    health_error_rate_critical_percent: float = 50.0
    health_memory_warning_percent: float = 85.0
    health_memory_critical_percent: float = 95.0
    health_file_handles_warning_percent: float = 80.0
    health_file_handles_critical_percent: float = 95.0
    health_free_disk_warning_bytes: int = 1 * GIB
    health_free_disk_critical_bytes: int = 128 * MIB
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"

    def origins(self) -> frozenset[str]:
        """The pages that may connect from elsewhere."""
        return frozenset(origin.strip().lower() for origin in self.websocket_origins.split(",") if origin.strip())


_ORIGIN = re.compile(r"https?://[^/\s:@?#]+(:\d{1,5})?|https?://\[[0-9a-f:.]+\](:\d{1,5})?")
"""RFC 6454, section 6.2, of pages on the web: a scheme, a host, and a port unless it is the scheme's own."""

RANGES: dict[str, tuple[float, float]] = {
    # Port 0 lets the kernel choose; the chosen one is logged.
    "port": (0, 65_535),
    **ENGINE_RANGES,
    "max_reading_bytes": (1 * KIB, 1 << 40),
    # Each may hold a read buffer of 256 KiB (http/gateway.py, and limits.rs of the front) beside what max_reading_bytes
    # counts: 256 MiB for the default of 1024. Further ones wait in the listener's backlog.
    "max_connections": (1, 65_536),
    # Each is one of max_connections, has four descriptors, and is sent a message a second.
    "max_websockets": (1, 65_536),
    # Beside every push at most; proxies close connections that are quiet for a minute, so the longest is of no use.
    "websocket_ping_seconds": (1, 3600),
    "body_timeout_seconds": (0.1, 3600),
    # A commit takes milliseconds and a stalled disk minutes; senders and proxies rarely wait for longer than a minute.
    "ack_timeout_seconds": (0.1, 3600),
    "shutdown_timeout_seconds": (0.1, 3600),
    # Every check syncs a probe file, so more often than that would take from the log; the longest is what people wait.
    "health_interval_seconds": (0.2, 300),
    # 0 means: better as soon as it is measured so.
    "health_recovery_seconds": (0, 3600),
    "health_probe_timeout_ms": (50, 60_000),
    "health_window_seconds": (1, 600),
    "health_commit_p99_warning_ms": (0.1, 3_600_000),
    "health_commit_p99_critical_ms": (0.1, 3_600_000),
    "health_storage_probe_warning_ms": (0.1, 3_600_000),
    "health_seal_backlog_warning_files": (1, 1_000_000),
    "health_decode_wait_warning_ms": (0.1, 3_600_000),
    "health_decode_wait_critical_ms": (0.1, 3_600_000),
    **dict.fromkeys(
        (
            f"health_{part}_{limit}_percent"
            for part in ("ring", "error_rate", "memory", "file_handles")
            for limit in ("warning", "critical")
        ),
        (0.1, 100),
    ),
    # 0 means: never.
    "health_free_disk_warning_bytes": (0, 1 << 60),
    "health_free_disk_critical_bytes": (0, 1 << 60),
}
"""Smallest and largest value of each number, both allowed."""

_KINDS = kinds(Settings)


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """Reads and checks the settings. `flags` that are None were not given.

    Raises:
        ConfigError: naming the setting and where it was set.
    """
    merged: dict[str, object] = {}
    sources: dict[str, str] = {}
    for place, values in (
        (str(file), _from_file(file) if file else {}),
        ("the environment", _from_environment(environment or {})),
        ("the command line", {name: value for name, value in (flags or {}).items() if value is not None}),
    ):
        for name, value in values.items():
            # The environment has text only; a TOML file and the command line have types of their own.
            strict = place != "the environment"
            sources[name] = f" from {place}"
            merged[name] = converted(name, _KINDS[name], value, sources[name], strict=strict)
    settings = msgspec.convert(merged, Settings)
    _check(settings, sources)
    return settings


def _from_file(file: Path) -> dict[str, object]:
    try:
        with file.open("rb") as opened:
            values = tomllib.load(opened)
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from None
    for name in values:
        if name not in _KINDS:
            raise ConfigError(f"unknown setting {name!r} in {file}{nearest(name, _KINDS)}")
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    known = {ENV_PREFIX + name.upper(): name for name in _KINDS}
    values: dict[str, object] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENV_PREFIX) or variable in NOT_SETTINGS:
            continue
        if variable not in known:
            raise ConfigError(f"unknown setting {variable} in the environment{nearest(variable, known)}")
        values[known[variable]] = text
    return values


def _check(settings: Settings, sources: Mapping[str, str]) -> None:
    check_ranges(settings, RANGES, sources)
    if settings.log != "embedded":
        if settings.log.startswith("kafka://"):
            raise ConfigError('log = "kafka://…" comes later; this release has the embedded log only')
        raise ConfigError(f"log is {settings.log!r}; this release knows 'embedded' only")
    for page in settings.origins():
        if not _ORIGIN.fullmatch(page):
            raise ConfigError(f"websocket_origins has {page!r}, which is not like https://dash.example:8443")
    if settings.max_body_bytes > settings.max_reading_bytes:
        raise ConfigError("max_body_bytes is more than max_reading_bytes, so that a largest body could never be read")
    if settings.no_auth and not settings.insecure and not is_loopback(settings.host):
        raise ConfigError(
            f"without authentication, listening on {settings.host} lets anybody on the network write; "
            "ask for tokens, listen on 127.0.0.1, or add insecure if that is what you want"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
