"""Options of the log: those of `forebay.open`, which are settings of the server by the same names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from forebay.errors import ConfigError, InvalidRequest
from forebay.processors.command import command

Durability = Literal["fsync", "interval", "memory"]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

BYTE_UNITS = (("EiB", 1 << 60), ("PiB", 1 << 50), ("TiB", 1 << 40), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB))
"""Units that sizes are shown in, the largest first."""

WEEK_MS = 7 * 24 * 3600 * 1000
MAX_RETENTION_MS = 100 * 365 * 24 * 3600 * 1000
"""A hundred years, as in the engine."""
MAX_RETENTION_BYTES = 1 << 50
"""So that sums stay in 64 bits."""

Texts = tuple[str, ...]
"""The kind of an option that is a list of texts. As text it has commas between them."""

Tables = tuple[dict[str, Any], ...]
"""The kind of an option that is a list of tables, as `[[name]]` in TOML. As text it is JSON."""

Table = dict[str, Any] | None
"""The kind of an option that is one table, as `[name]` in TOML; None when it is not there. As text it is JSON."""

MAX_PARTITIONS = 1024
"""Of one stream, as in the engine."""


def number(low: float, high: float, unit: str, description: str) -> msgspec.Meta:
    """An option that is a number from `low` to `high`, both allowed; `unit` is empty for a count."""
    return msgspec.Meta(ge=low, le=high, description=description, extra={"unit": unit})


def choice(description: str) -> msgspec.Meta:
    """An option that is a text, a switch or one of several words."""
    return msgspec.Meta(description=description)


def partitions(stream: str, content: str) -> msgspec.Meta:
    """How many partitions a stream that is always there has."""
    return number(
        1, MAX_PARTITIONS, "", f"Partitions of the stream `{stream}`, which holds {content}. Fixed at the first start."
    )


def retention_ms(stream: str) -> msgspec.Meta:
    return number(60_000, MAX_RETENTION_MS, "ms", f"Age from which segments of `{stream}` are deleted.")


def retention_bytes(stream: str) -> msgspec.Meta:
    description = f"Stored bytes of `{stream}` beyond which its oldest segments are deleted; 0: no limit."
    return number(0, MAX_RETENTION_BYTES, "bytes", description)


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the engine: name, type, range, unit, default and description of each. Ranges, the help of
    `forebay serve` and docs/configuration.md derive from here."""

    durability: Annotated[
        Durability,
        choice(
            "When an append is acknowledged: `fsync` once it is synced, `interval` before that and synced every "
            "`interval_ms`, `memory` without any sync."
        ),
    ] = "fsync"
    # Longer than a second would be another promise than the one the name of the durability makes.
    interval_ms: Annotated[int, number(1, 1_000, "ms", 'How often `durability = "interval"` syncs.')] = 100
    commit_gather_us: Annotated[
        int,
        number(
            0,
            100_000,
            "µs",
            "How long a commit of a busy log waits for more appends. It adds to the latency; 0: never.",
        ),
    ] = 1_000
    # The smallest holds eight journal files of the smallest size.
    ring_bytes: Annotated[
        int,
        number(8 * MIB, 1 << 40, "bytes", "Memory for records that are not sealed yet. Beyond it appends get 429."),
    ] = 512 * MIB
    # Lengths inside a frame are 32 bits.
    journal_file_bytes: Annotated[
        int, number(1 * MIB, 1 * GIB, "bytes", "Size of a journal file. A full one is sealed into segments.")
    ] = 32 * MIB
    journal_file_age_seconds: Annotated[
        int, number(1, 24 * 3600, "s", "Age from which a journal file is sealed although it is not full.")
    ] = 600
    workers: Annotated[
        int,
        number(0, 64, "", "Threads that parse and validate. 0: by the number of cores. `POST /api/scale` changes it."),
    ] = 0
    logs_partitions: Annotated[int, partitions("logs", "log events")] = 4
    logs_retention_ms: Annotated[int, retention_ms("logs")] = WEEK_MS
    logs_retention_bytes: Annotated[int, retention_bytes("logs")] = 0
    events_partitions: Annotated[int, partitions("events", "events")] = 4
    events_retention_ms: Annotated[int, retention_ms("events")] = WEEK_MS
    events_retention_bytes: Annotated[int, retention_bytes("events")] = 0
    analytics_partitions: Annotated[int, partitions("analytics", "analytics events")] = 4
    analytics_retention_ms: Annotated[int, retention_ms("analytics")] = WEEK_MS
    analytics_retention_bytes: Annotated[int, retention_bytes("analytics")] = 0
    # The spool of an SDK retries for a day.
    dedup_window_seconds: Annotated[
        int,
        number(
            1,
            24 * 3600,
            "s",
            "How long an `Idempotency-Key` is remembered where a stream has no `dedupWindow` of its own.",
        ),
    ] = 600
    max_idempotency_keys: Annotated[
        int,
        number(
            1_000, 50_000_000, "", "Keys remembered at once, 64 bytes of memory each. Beyond it keyed requests get 429."
        ),
    ] = 2_000_000
    max_streams: Annotated[
        int,
        number(
            1,
            100_000,
            "",
            "Streams, beside those that the engine makes itself. Beyond it a new one is refused with 409.",
        ),
    ] = 10_000
    max_partitions: Annotated[
        int,
        number(1, 1_000_000, "", "Partitions of all these streams together, up to 640 bytes of memory each."),
    ] = 10_000
    processor_state_bytes: Annotated[
        int,
        number(
            1 * MIB,
            1024 * GIB,
            "bytes",
            "Memory of the open windows of all processors, of which one gets at most half. At the bound it pauses.",
        ),
    ] = 256 * MIB
    jobs_bytes: Annotated[
        int,
        number(
            1 * MIB,
            1024 * GIB,
            "bytes",
            "Memory of all jobs, ended ones that are kept included. Beyond it a new one is refused with 429.",
        ),
    ] = 512 * MIB
    functions: Annotated[
        Texts,
        choice(
            "Python modules with functions of stream processors, which are imported in the processes that run them."
        ),
    ] = ()
    function_workers: Annotated[
        int, number(0, 64, "", "Processes that run functions of stream processors. 0: one a core.")
    ] = 0
    function_worker_bytes: Annotated[
        int,
        number(
            64 * MIB,
            1 << 40,
            "bytes",
            "Memory of one such process, which is replaced when it has more after a call; allocations beyond twice "
            "that fail.",
        ),
    ] = 1 * GIB
    function_timeout_ms: Annotated[
        int,
        number(
            10,
            3_600_000,
            "ms",
            "How long a function may take for a batch. Beyond it its process is killed, and each record of the batch "
            "is tried alone, for a second at most.",
        ),
    ] = 30_000
    max_body_bytes: Annotated[
        int, number(1 * KIB, 1 * GIB, "bytes", "Largest body of a request, also after decompression. Beyond it: 413.")
    ] = 16 * MIB
    max_record_bytes: Annotated[
        int, number(256, 1 * GIB, "bytes", "Largest value of one record, unless its stream has a limit of its own.")
    ] = 1 * MIB

    def engine_options(self) -> dict[str, object]:
        """The options as the engine takes them, which knows no modules, but a command for processes."""
        options = {name: getattr(self, name) for name in ENGINE_OPTIONS if name != "functions"}
        options["function_command"] = command(self.functions, 2 * self.function_worker_bytes)
        options["function_names"] = []
        # A record comes in a body, so a smaller body limit is a smaller record limit.
        options["max_record_bytes"] = min(self.max_record_bytes, self.max_body_bytes)
        return options


ENGINE_OPTIONS = EngineOptions.__struct_fields__


class Option(NamedTuple):
    """One row of the table of options.

    Attributes:
        kind: int, float, bool, str, a Literal, `Texts`, `Tables` or `Table`.
        range: smallest and largest value, both allowed; None where it is no number.
        unit: of a number; empty for a count.
    """

    name: str
    kind: Any
    default: object
    range: tuple[float, float] | None
    unit: str
    description: str


def table(options: type[EngineOptions]) -> list[Option]:
    """Every option, in the order in which the struct has them."""
    hints = get_type_hints(options, include_extras=True)
    rows = []
    for name, default in zip(options.__struct_fields__, options.__struct_defaults__, strict=True):
        kind, meta = get_args(hints[name])
        limits = None if meta.ge is None else (meta.ge, meta.le)
        rows.append(Option(name, kind, default, limits, (meta.extra or {}).get("unit", ""), meta.description))
    return rows


def ranges(options: type[EngineOptions]) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of each number, both allowed."""
    return {option.name: option.range for option in table(options) if option.range is not None}


ENGINE_RANGES = ranges(EngineOptions)

_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Texts: "a list of texts",
    Tables: "a list of tables, or a JSON array of objects",
    Table: "a table, or a JSON object",
}


def kinds(options: type[EngineOptions]) -> dict[str, Any]:
    """The type of each option."""
    return get_type_hints(options)


ALL_OPTIONS = "docs/configuration.md and 'forebay serve --help' list them all"


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: the name that was probably meant, or where all of them are."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}" if close else f"; {ALL_OPTIONS}"


def converted(name: str, kind: Any, value: object, source: str, *, strict: bool) -> object:
    """The value as its option's type. Text becomes a number or a boolean unless `strict`.

    Args:
        source: where the value was set, as errors say it: ` from the command line`.

    Raises:
        ConfigError: the value is of another type, or none of the choices.
    """
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        if value not in choices:
            raise ConfigError(f"{name}{source} is {value!r}; choose one of {', '.join(choices)}")
        return value
    try:
        if isinstance(value, str) and not strict:
            if kind in (Tables, Table):
                return msgspec.json.decode(value, type=kind)
            if kind == Texts:
                return texts(value)
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.DecodeError:
        # A table may have a password somewhere.
        given = "***" if kind in (Tables, Table) and isinstance(value, str | list | dict) else repr(value)
        raise ConfigError(f"{name}{source} is {given}, which is not {_KINDS[kind]}") from None


def texts(text: str) -> Texts:
    """The texts between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def check_modules(options: EngineOptions, sources: Mapping[str, str]) -> None:
    """Checks that modules with functions have names of modules.

    Raises:
        ConfigError: one is something else, such as a file.
    """
    for module in options.functions:
        if not all(part.isidentifier() for part in module.split(".")):
            given = f"functions{sources.get('functions', '')} has {module!r}"
            raise ConfigError(f"{given}, which is no module as import takes it: scoring, package.scoring")


def check_ranges(options: EngineOptions, ranges: Mapping[str, tuple[float, float]], sources: Mapping[str, str]) -> None:
    """Checks every number against its range.

    Raises:
        ConfigError: one is out of it.
    """
    for name, (low, high) in ranges.items():
        value = getattr(options, name)
        if not low <= value <= high:
            given = f"{name}{sources.get(name, '')} is {value}"
            raise ConfigError(f"{given}, outside of {_figure(low)} to {_figure(high)}{_sizes(name, low, high)}")


def _figure(value: float) -> str:
    """Every digit, so that it can be written as it stands, with commas."""
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _sizes(name: str, low: float, high: float) -> str:
    """The range once more in the units that people think in, for a size."""
    return f" ({_size(low)} to {_size(high)})" if name.endswith("_bytes") else ""


def _size(value: float) -> str:
    for name, unit in BYTE_UNITS:
        if value >= unit and value % unit == 0:
            return f"{value // unit:,.0f} {name}"
    return f"{value:,.0f} bytes"


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
        given: dict[str, Any] = {
            name: converted(name, types[name], value, "", strict=True)
            for name, value in options.items()
            if value is not None
        }
        checked = EngineOptions(**given)
        check_ranges(checked, ENGINE_RANGES, {})
        check_modules(checked, {})
    except ConfigError as error:
        raise InvalidRequest(str(error)) from None
    return checked.engine_options()
