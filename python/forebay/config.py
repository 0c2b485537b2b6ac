"""The server's settings: one frozen struct, filled from a TOML file, `FOREBAY_*` and flags, in rising order of rank."""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import msgspec

from forebay.errors import InvalidRequest

Durability = Literal["fsync", "interval", "memory"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

ENV_PREFIX = "FOREBAY_"

NOT_SETTINGS = frozenset({"FOREBAY_CONFIG", "FOREBAY_URL", "FOREBAY_TOKEN"})
"""Variables that the command line reads itself."""


class ConfigError(Exception):
    """A setting is unknown, ill-typed or out of range; the message names it and where it was set."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set. Units are in the names."""

    host: str = "127.0.0.1"
    port: int = 8080
    no_auth: bool = False
    insecure: bool = False
    data_dir: str = "data"
    log: str = "embedded"
    durability: Durability = "fsync"
    interval_ms: int = 100
    commit_gather_us: int = 1_000
    ring_bytes: int = 512 * MIB
    journal_file_bytes: int = 32 * MIB
    journal_file_age_seconds: int = 600
    workers: int = 0
    logs_partitions: int = 4
    logs_retention_ms: int = 7 * 24 * 3600 * 1000
    logs_retention_bytes: int = 0
    events_partitions: int = 4
    events_retention_ms: int = 7 * 24 * 3600 * 1000
    events_retention_bytes: int = 0
    analytics_partitions: int = 4
    analytics_retention_ms: int = 7 * 24 * 3600 * 1000
    analytics_retention_bytes: int = 0
    dedup_window_seconds: int = 600
    max_idempotency_keys: int = 2_000_000
    max_streams: int = 10_000
    max_partitions: int = 10_000
    max_body_bytes: int = 16 * MIB
    max_record_bytes: int = 1 * MIB
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

    def engine_options(self) -> dict[str, object]:
        """What the engine takes of them."""
        options = {name: getattr(self, name) for name in ENGINE_OPTIONS}
        # A record comes in a body, so a smaller body limit is a smaller record limit.
        options["max_record_bytes"] = min(self.max_record_bytes, self.max_body_bytes)
        return options

    def origins(self) -> frozenset[str]:
        """The pages that may connect from elsewhere."""
        return frozenset(origin.strip().lower() for origin in self.websocket_origins.split(",") if origin.strip())


_ORIGIN = re.compile(r"https?://[^/\s:@?#]+(:\d{1,5})?|https?://\[[0-9a-f:.]+\](:\d{1,5})?")
"""RFC 6454, section 6.2, of pages on the web: a scheme, a host, and a port unless it is the scheme's own."""

ENGINE_OPTIONS = (
    "durability",
    "interval_ms",
    "commit_gather_us",
    "ring_bytes",
    "journal_file_bytes",
    "journal_file_age_seconds",
    "workers",
    "logs_partitions",
    "logs_retention_ms",
    "logs_retention_bytes",
    "events_partitions",
    "events_retention_ms",
    "events_retention_bytes",
    "analytics_partitions",
    "analytics_retention_ms",
    "analytics_retention_bytes",
    "dedup_window_seconds",
    "max_idempotency_keys",
    "max_streams",
    "max_partitions",
    "max_body_bytes",
    "max_record_bytes",
)

RANGES: dict[str, tuple[float, float]] = {
    # Port 0 lets the kernel choose; the chosen one is logged.
    "port": (0, 65_535),
    # Longer than a second would be another promise than the one an interval's name makes.
    "interval_ms": (1, 1_000),
    # Added to the latency under load; 0 means: never.
    "commit_gather_us": (0, 100_000),
    # It holds eight journal files of the smallest size.
    "ring_bytes": (8 * MIB, 1 << 40),
    # Lengths inside a frame are 32 bits.
    "journal_file_bytes": (1 * MIB, 1 * GIB),
    "journal_file_age_seconds": (1, 24 * 3600),
    # 0 means: by the number of cores.
    "workers": (0, 64),
    # Of the built-in streams: partitions are fixed when a stream is made; 0 bytes means: no limit.
    **dict.fromkeys(("logs_partitions", "events_partitions", "analytics_partitions"), (1, 1024)),
    **dict.fromkeys(
        ("logs_retention_ms", "events_retention_ms", "analytics_retention_ms"), (60_000, 100 * 365 * 24 * 3600 * 1000)
    ),
    **dict.fromkeys(("logs_retention_bytes", "events_retention_bytes", "analytics_retention_bytes"), (0, 1 << 50)),
    # How long an Idempotency-Key is remembered where a stream has no `dedupWindow`; an SDK's spool retries for a day.
    "dedup_window_seconds": (1, 24 * 3600),
    # Each takes 64 bytes: 128 MB for the default. Beyond it keyed requests are answered with 429.
    "max_idempotency_keys": (1_000, 50_000_000),
    # Streams that the engine makes itself do not count. Beyond it a stream is refused with 409; what is there stays.
    "max_streams": (1, 100_000),
    # It counts those of all these streams. Each takes up to 640 bytes beside its records: 6 MB for the default.
    "max_partitions": (1, 1_000_000),
    "max_body_bytes": (1 * KIB, 1 * GIB),
    "max_record_bytes": (256, 1 * GIB),
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

_CHOICES: dict[str, tuple[str, ...]] = {
    "durability": get_args(Durability),
    "log_level": get_args(LogLevel),
    "log_format": get_args(LogFormat),
}

_NAMES = Settings.__struct_fields__


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
    origin: dict[str, str] = {}
    for place, values in (
        (str(file), _from_file(file) if file else {}),
        ("the environment", _from_environment(environment or {})),
        ("the command line", {name: value for name, value in (flags or {}).items() if value is not None}),
    ):
        for name, value in values.items():
            merged[name] = _converted(name, value, place)
            origin[name] = place
    settings = msgspec.convert(merged, Settings)
    _check(settings, origin)
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
        if name not in _NAMES:
            raise ConfigError(f"unknown setting {name!r} in {file}{_nearest(name, _NAMES)}")
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    known = {ENV_PREFIX + name.upper(): name for name in _NAMES}
    values: dict[str, object] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENV_PREFIX) or variable in NOT_SETTINGS:
            continue
        if variable not in known:
            raise ConfigError(f"unknown setting {variable} in the environment{_nearest(variable, known)}")
        values[known[variable]] = text
    return values


def _nearest(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}" if close else f"; known are {', '.join(sorted(known))}"


def _converted(name: str, value: object, place: str) -> object:
    expected = Settings.__annotations__[name]
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ConfigError(f"{name} from {place} is {value!r}; choose one of {', '.join(_CHOICES[name])}")
        return value
    kind = {"int": int, "float": float, "bool": bool, "str": str}[expected]
    try:
        # Text from the environment is turned into numbers and booleans; a TOML file has types of its own.
        return msgspec.convert(value, kind, strict=place != "the environment")
    except msgspec.ValidationError:
        raise ConfigError(f"{name} from {place} is {value!r}, which is not {_KIND_TEXT[expected]}") from None


_KIND_TEXT = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}


def _check(settings: Settings, origin: Mapping[str, str]) -> None:
    for name, (low, high) in RANGES.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            raise ConfigError(f"{name} from {origin[name]} is {value}, outside of {low:g} to {high:g}")
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


def check_options(options: Mapping[str, object]) -> dict[str, object]:
    """The same checks for the options of `forebay.open`, by the same names.

    Raises:
        InvalidRequest: an option is unknown, ill-typed or out of range.
    """
    for name in options:
        if name not in ENGINE_OPTIONS:
            raise InvalidRequest(f"unknown option {name!r}{_nearest(name, ENGINE_OPTIONS)}")
    try:
        return load(flags=options).engine_options()
    except ConfigError as error:
        raise InvalidRequest(str(error).replace(" from the command line", "")) from None
