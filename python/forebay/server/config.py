"""The server's settings: one frozen struct, filled from a TOML file, `FOREBAY_*` and flags, in rising order of rank."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from forebay.cache.redis.address import check_url
from forebay.cache.redis.layout import checked_prefix
from forebay.embedded.options import (
    GIB,
    KIB,
    MIB,
    EngineOptions,
    Table,
    Tables,
    check_modules,
    check_ranges,
    choice,
    converted,
    kinds,
    nearest,
    number,
    ranges,
)
from forebay.errors import ConfigError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]

ENV_PREFIX = "FOREBAY_"

EMBEDDED = "embedded"
"""Instead of the address of a Kafka or a Redis: what this process has itself."""

NOT_SETTINGS = frozenset({"FOREBAY_CONFIG", "FOREBAY_URL", "FOREBAY_TOKEN"})
"""Variables that the command line reads itself."""


class Settings(EngineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set: what the engine can be told, and what is the server's own."""

    host: Annotated[str, choice("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, number(0, 65_535, "", "Port to listen on. 0: a free one, which the log names.")] = 8080
    no_auth: Annotated[bool, choice("Ask for no token. On a loopback address only, unless `insecure` is set.")] = False
    insecure: Annotated[bool, choice("Allow `no_auth` on any address.")] = False
    data_dir: Annotated[str, choice("Directory of the log; created when it is missing.")] = "data"
    log: Annotated[str, choice("Which log: `embedded`.")] = "embedded"
    max_reading_bytes: Annotated[
        int,
        number(
            1 * KIB,
            1 << 40,
            "bytes",
            "Memory for bodies that are being received, of all requests together. Beyond it: 429.",
        ),
    ] = 256 * MIB
    max_connections: Annotated[
        int,
        number(
            1,
            65_536,
            "",
            "Connections, with a read buffer of up to 256 KiB each. Further ones wait in the listener's backlog.",
        ),
    ] = 1024
    max_websockets: Annotated[
        int,
        number(1, 65_536, "", "Clients of `/ws`. Each is one of `max_connections`, and takes three file descriptors."),
    ] = 1000
    websocket_origins: Annotated[
        str, choice("Pages of other origins that may open `/ws`, separated by commas: `https://dash.example:8443`.")
    ] = ""
    # Proxies close connections that are quiet for a minute, so the longest is of no use.
    websocket_ping_seconds: Annotated[float, number(1, 3600, "s", "How often a WebSocket is pinged.")] = 15.0
    body_timeout_seconds: Annotated[
        float, number(0.1, 3600, "s", "How long a body may take to arrive. Beyond it: 408.")
    ] = 30.0
    # A commit takes milliseconds and a stalled disk minutes; senders and proxies rarely wait for longer than a minute.
    ack_timeout_seconds: Annotated[
        float, number(0.1, 3600, "s", "How long a sender waits for the disk. Beyond it: 504, the outcome is unknown.")
    ] = 30.0
    shutdown_timeout_seconds: Annotated[
        float, number(0.1, 3600, "s", "How long a stop waits for requests under way.")
    ] = 30.0
    # Every check syncs a probe file, so more often than that would take from the log.
    health_interval_seconds: Annotated[float, number(0.2, 300, "s", "How often the health checks run.")] = 5.0
    health_recovery_seconds: Annotated[
        float, number(0, 3600, "s", "How long a check must pass before its status improves. 0: at once.")
    ] = 15.0
    health_probe_timeout_ms: Annotated[
        int, number(50, 60_000, "ms", "How long a check may take. Beyond it: critical.")
    ] = 2_000
    health_window_seconds: Annotated[
        float, number(1, 600, "s", "Window that commit latencies and errors are counted over.")
    ] = 60.0
    health_commit_p99_warning_ms: Annotated[
        float, number(0.1, 3_600_000, "ms", "p99 of the commits from which `commit_latency` warns.")
    ] = 250.0
    health_commit_p99_critical_ms: Annotated[
        float, number(0.1, 3_600_000, "ms", "p99 of the commits from which `commit_latency` is critical.")
    ] = 2_000.0
    health_storage_probe_warning_ms: Annotated[
        float, number(0.1, 3_600_000, "ms", "Duration of the probe's write and sync from which `log_storage` warns.")
    ] = 1_000.0
    health_seal_backlog_warning_files: Annotated[
        int, number(1, 1_000_000, "", "Journal files that wait to be sealed from which `log_storage` warns.")
    ] = 8
    health_decode_wait_warning_ms: Annotated[
        float, number(0.1, 3_600_000, "ms", "Wait of the oldest body for a worker from which `event_processing` warns.")
    ] = 500.0
    health_decode_wait_critical_ms: Annotated[
        float, number(0.1, 3_600_000, "ms", "The same wait from which `event_processing` is critical.")
    ] = 5_000.0
    health_ring_warning_percent: Annotated[
        float, number(0.1, 100, "%", "Fill of the fullest queue from which `queue_depth` warns.")
    ] = 70.0
    health_ring_critical_percent: Annotated[
        float, number(0.1, 100, "%", "Fill of the fullest queue from which `queue_depth` is critical.")
    ] = 95.0
    health_error_rate_warning_percent: Annotated[
        float, number(0.1, 100, "%", "Share of events that failed from which `error_rate` warns.")
    ] = 5.0
    health_error_rate_critical_percent: Annotated[
        float, number(0.1, 100, "%", "Share of events that failed from which `error_rate` is critical.")
    ] = 50.0
    health_memory_warning_percent: Annotated[
        float, number(0.1, 100, "%", "Resident memory from which `system_resources` warns.")
    ] = 85.0
    health_memory_critical_percent: Annotated[
        float, number(0.1, 100, "%", "Resident memory from which `system_resources` is critical.")
    ] = 95.0
    health_file_handles_warning_percent: Annotated[
        float, number(0.1, 100, "%", "Open files from which `system_resources` warns.")
    ] = 80.0
    health_file_handles_critical_percent: Annotated[
        float, number(0.1, 100, "%", "Open files from which `system_resources` is critical.")
    ] = 95.0
    health_free_disk_warning_bytes: Annotated[
        int, number(0, 1 << 60, "bytes", "Free disk below which `system_resources` warns. 0: never.")
    ] = 1 * GIB
    health_free_disk_critical_bytes: Annotated[
        int, number(0, 1 << 60, "bytes", "Free disk below which `system_resources` is critical. 0: never.")
    ] = 128 * MIB
    processors: Annotated[
        Tables,
        choice(
            "Stream processors, as `POST /api/v1/processors` takes them: created at the start when none has the name."
        ),
    ] = ()
    dependency: Annotated[
        Tables, choice("Services to be watched, of the kinds and with the fields of docs/infrastructure.md.")
    ] = ()
    sending_address: Annotated[
        Tables, choice("IP addresses that mail is sent from, each with `ip_address` and `provider`.")
    ] = ()
    reputation: Annotated[
        Table, choice("The block lists that these are looked up in, and the stream that has what was sent from them.")
    ] = None
    cache: Annotated[
        str,
        choice(
            "Where analytics views are kept: `embedded`, or a Redis that `forebay cache` processes read, such as "
            "`redis://host:6379/0`."
        ),
    ] = "embedded"
    cache_prefix: Annotated[str, choice("What all keys in Redis begin with, in braces.")] = "forebay"
    # A window a minute of two kinds, of some hundred bytes each: a week has 20 MB.
    views_retention_ms: Annotated[
        int, number(HOUR_MS, 7 * DAY_MS, "ms", "How long the windows of analytics views are kept.")
    ] = DAY_MS
    # All windows within it are open, with up to 250 KiB of state each.
    views_lateness_ms: Annotated[
        int,
        number(
            0,
            HOUR_MS,
            "ms",
            "By how much an analytics event may be behind the newest and still count in the views.",
        ),
    ] = 600_000
    # One export of a day of a busy log has a few gigabytes.
    export_bytes: Annotated[
        int,
        number(
            1 * MIB,
            1 << 50,
            "bytes",
            "Files of log exports together. For a new one the oldest that are finished go; beyond it one fails.",
        ),
    ] = 10 * GIB
    export_hours: Annotated[
        float, number(0.0001, 24 * 366, "h", "How long the file of a finished log export is kept.")
    ] = 24.0
    log_level: Annotated[LogLevel, choice("Least level of the server's own log.")] = "info"
    log_format: Annotated[
        LogFormat, choice("Form of the server's own log. `auto`: `console` on a terminal, `json` elsewhere.")
    ] = "auto"

    def origins(self) -> frozenset[str]:
        """The pages that may connect from elsewhere."""
        return frozenset(origin.strip().lower() for origin in self.websocket_origins.split(",") if origin.strip())


_ORIGIN = re.compile(r"https?://[^/\s:@?#]+(:\d{1,5})?|https?://\[[0-9a-f:.]+\](:\d{1,5})?")
"""RFC 6454, section 6.2, of pages on the web: a scheme, a host, and a port unless it is the scheme's own."""

RANGES = ranges(Settings)

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
    merged: dict[str, Any] = {}
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
    settings = Settings(**merged)
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
    for name, value in values.items():
        if isinstance(value, dict) and _KINDS.get(name) != Table:
            meant = f"; write [[{name}]]" if _KINDS.get(name) == Tables else ""
            raise ConfigError(f"{file} has a table [{name}]; settings stand at the top level, under no heading{meant}")
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
    check_modules(settings, sources)
    if settings.log != "embedded":
        if settings.log.startswith("kafka://"):
            raise ConfigError('log = "kafka://…" comes later; this release has the embedded log only')
        raise ConfigError(f"log is {settings.log!r}; this release knows 'embedded' only")
    for page in settings.origins():
        if not _ORIGIN.fullmatch(page):
            raise ConfigError(f"websocket_origins has {page!r}, which is not like https://dash.example:8443")
    if settings.cache != EMBEDDED:
        check_url(settings.cache)
    checked_prefix(settings.cache_prefix)
    if settings.max_body_bytes > settings.max_reading_bytes:
        raise ConfigError("max_body_bytes is more than max_reading_bytes, so that a largest body could never be read")
    if settings.no_auth and not settings.insecure and not is_loopback(settings.host):
        raise ConfigError(
            f"without authentication, listening on {settings.host} lets anybody on the network write; "
            "ask for tokens, listen on 127.0.0.1, or add insecure if that is what you want"
        )


def is_loopback(host: str) -> bool:
    """True when only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
