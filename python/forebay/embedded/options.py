"""Options of the log: those of `forebay.open`, which are settings of the server by the same names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from forebay.errors import ConfigError, InvalidRequest

Durability = Literal["fsync", "interval", "memory"]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that the engine can be told. Units are in the names."""

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

    def engine_options(self) -> dict[str, object]:
        """The options as the engine takes them."""
        options = {name: getattr(self, name) for name in ENGINE_OPTIONS}
        # A record comes in a body, so a smaller body limit is a smaller record limit.
        options["max_record_bytes"] = min(self.max_record_bytes, self.max_body_bytes)
        return options


ENGINE_OPTIONS = EngineOptions.__struct_fields__

ENGINE_RANGES: dict[str, tuple[float, float]] = {
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
}
"""Smallest and largest value of each number, both allowed."""

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def kinds(options: type[EngineOptions]) -> dict[str, Any]:
    """The type of each option."""
    return get_type_hints(options)


def nearest(name: str, known: Iterable[str]) -> str:
    """What an error about an unknown name adds: the name that was probably meant, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}" if close else f"; known are {', '.join(sorted(known))}"


def converted(name: str, kind: Any, value: object, source: str, *, strict: bool) -> object:
    """The value as its option's type. Text becomes a number or a boolean unless `strict`.

    Args:
        source: what an error says of where the value was set, such as ` from the command line`.

    Raises:
        ConfigError: the value is of another type, or none of the choices.
    """
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        if value not in choices:
            raise ConfigError(f"{name}{source} is {value!r}; choose one of {', '.join(choices)}")
        return value
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError:
        raise ConfigError(f"{name}{source} is {value!r}, which is not {_KINDS[kind]}") from None


def check_ranges(options: EngineOptions, ranges: Mapping[str, tuple[float, float]], sources: Mapping[str, str]) -> None:
    """Checks every number against its range.

    Raises:
        ConfigError: one is out of it.
    """
    for name, (low, high) in ranges.items():
        value = getattr(options, name)
        if not low <= value <= high:
            raise ConfigError(f"{name}{sources.get(name, '')} is {value}, outside of {low:g} to {high:g}")


def check_options(options: Mapping[str, object]) -> dict[str, object]:
    """The options of `forebay.open` with defaults for the others, as the engine takes them.

    Raises:
        InvalidRequest: an option is unknown, ill-typed or out of range.
    """
    types = kinds(EngineOptions)
    for name in options:
        if name not in types:
            raise InvalidRequest(f"unknown option {name!r}{nearest(name, types)}")
    try:
        # None is the default, as if the option was not given.
        given = {
            name: converted(name, types[name], value, "", strict=True)
            for name, value in options.items()
            if value is not None
        }
        checked = msgspec.convert(given, EngineOptions)
        check_ranges(checked, ENGINE_RANGES, {})
    except ConfigError as error:
        raise InvalidRequest(str(error)) from None
    return checked.engine_options()
